# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil

from golden.fields import Formats, Kind
from golden.params import PRESETS, get_preset
from hdl.core.throttle import Throttle
from tests.support.streams import STALLS, Sink, simulate

TINY = get_preset("tiny")


def table(rng):
    layout = Formats(TINY).destination
    return [
        {name: int(rng.integers(0, 1 << width)) for name, width in layout.widths}
        for _ in range(TINY.n_destinations)
    ]


def pace(entry, hold):
    formats = Formats(TINY)
    rectangle = {name: entry[name] for name in ("x0", "y0", "x1", "y1")}
    spike = formats.spike.pack(axon=0, t=int(hold), c=0, y=0, x=0)
    return formats.flit.pack(kind=int(Kind.PACE), **rectangle, payload=spike)


async def answer(ctx, dut, entries):
    """Plays the destination table: an entry is there in the cycle after ``borrow``."""
    while True:
        _, _, borrow, address = await ctx.tick().sample(dut.borrow, dut.borrow_address)
        if borrow:
            ctx.set(dut.borrowed.as_value(), Formats(TINY).destination.pack(**entries[address]))


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("n_entries", [1, 3])
def test_throttle_tells_every_source_to_hold_and_to_go_on(n_entries, stall, rng):
    dut, entries = Throttle(params=TINY), table(rng)
    listed = entries[4 : 4 + n_entries]
    expected = [pace(entry, hold) for hold in (1, 0, 1, 0) for entry in listed]
    sink = Sink(dut.o, len(expected), stall, rng)

    async def drive(ctx):
        ctx.set(dut.credit_list.as_value(), Formats(TINY).token_list.pack(start=4, count=n_entries))
        ctx.set(dut.is_low, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.idle)
        for _ in range(2):
            # Low stays set for a while after high, as with a small queue: hold comes first.
            ctx.set(dut.is_high, 1)
            await ctx.tick()
            ctx.set(dut.is_low, 0)
            await ctx.tick().repeat(int(rng.integers(1, 30)))
            ctx.set(dut.is_high, 0)
            await ctx.tick().repeat(60)
            assert not ctx.get(dut.idle), "sources hold as long as the queue is not low"
            ctx.set(dut.is_low, 1)
            await ctx.tick().repeat(60)
            assert ctx.get(dut.idle)

    async def memory(ctx):
        await answer(ctx, dut, entries)

    simulate(dut, [drive, sink], limit=2000, background=[memory])
    assert sink.items == expected


def test_throttle_is_held_while_any_destination_asks(rng):
    dut = Throttle(params=TINY)

    async def drive(ctx):
        holding = 0
        for _ in range(400):
            hold = int(rng.integers(0, 2)) if holding < 20 else 0
            go = int(not hold and holding > 0 and rng.integers(0, 2))
            ctx.set(dut.hold, hold)
            ctx.set(dut.go, go)
            holding += hold - go
            await ctx.tick()
            assert ctx.get(dut.held) == (holding > 0)

    simulate(dut, [drive], limit=500)


@pytest.mark.parametrize("preset", PRESETS)
def test_throttle_converts(preset):
    rtlil.convert(Throttle(params=get_preset(preset)), emit_src=False)
