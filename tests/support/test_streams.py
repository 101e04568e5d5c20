# SPDX-License-Identifier: Apache-2.0
"""The stream benches themselves: what they must not let pass."""

import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.support.streams import STALLS, Sink, Source, simulate, transfer


class Wire(wiring.Component):
    """Passes items on, or breaks the rules of a stream in the way that ``fault`` names."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def __init__(self, fault=None):
        self._fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        cycle = Signal(8)
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            self.o.valid.eq(
                self.i.valid & ~cycle[2] if self._fault == "withdraws" else self.i.valid
            ),
            self.o.payload.eq(cycle if self._fault == "changes" else self.i.payload),
            self.i.ready.eq(self.o.ready & (self._fault != "repeats")),
        ]
        return m


@pytest.mark.parametrize("stall", STALLS)
def test_transfer_gives_what_was_sent(stall, rng):
    items = rng.integers(256, size=50).tolist()
    assert transfer(Wire(), items, 50, stall=stall, rng=rng) == items


@pytest.mark.parametrize("fault", ["withdraws", "changes"])
def test_sink_refuses_what_does_not_stay(fault, rng):
    with pytest.raises(AssertionError, match=r"^cycle \d+, item \d+: 0x[0-9a-f]+ waits and must"):
        transfer(Wire(fault), [1] * 50, 50, stall="third", rng=rng)


def test_sink_refuses_more_than_it_was_told():
    with pytest.raises(AssertionError, match=r"^must give 2 items, then nothing; got 0x7 besides$"):
        transfer(Wire("repeats"), [7], 2)


def test_simulation_ends_at_its_limit():
    wire = Wire()
    benches = [Source(wire.i, [1, 2]), Sink(wire.o, 3)]
    with pytest.raises(
        TimeoutError, match=r"^1 of 2 benches still run after 30 cycles; items received: 2/3$"
    ):
        simulate(wire, benches, limit=30)
