# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that write bursts become the WRITE flits that they stand for, and nothing else does."""

import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring

import stemcore.hdl.host.write_bursts
from stemcore.golden.spec.bursts import COUNT_WIDTH, HEADER_KIND
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.layouts import struct
from tests.support.formal import anything, implies, inner_signal, planted, prove, refute

pytestmark = pytest.mark.sim

TINY = get_preset("tiny")
RECTANGLE = struct(Formats(TINY).rectangle)
NODES = tuple(RECTANGLE.members)


class BurstsAreTheirWrites(wiring.Component):
    """After a header of n come n WRITE flits to its nodes, with the halves of n / 2 words in order.

    All other flits pass in their cycle, and none is made of nothing. A word is taken with the first
    flit that it holds; the second goes next, whatever comes on the stream. Nothing else keeps a
    word from being taken than who takes the flits.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(stemcore.hdl.host.write_bursts, *faults)
        self._bursts = module.WriteBursts(params=TINY)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        bursts = self._bursts
        m.submodules.bursts = inner = bursts.elaborate(platform)
        i, o, word = bursts.i, bursts.o, bursts.word
        anything(m, i.valid, word, bursts.passes, bursts.clear, o.ready)
        m.d.comb += i.payload.eq(word)

        flit = i.payload
        count, nodes, second = Signal(COUNT_WIDTH), Signal.like(flit), Signal(32)
        sent, taken = Signal(COUNT_WIDTH), Signal(COUNT_WIDTH)
        inside, owes, moves_in, moves_out = Signal(), Signal(), Signal(), Signal()
        is_header, is_fine = Signal(), Signal()
        m.d.comb += [
            owes.eq(sent[0] & (sent != count)),  # the second flit of a word
            inside.eq((sent != count) & ~(owes & (sent + 1 == count))),
            moves_in.eq(i.valid & i.ready),
            moves_out.eq(o.valid & o.ready),
            is_header.eq(~inside & ~bursts.passes & (flit.kind == HEADER_KIND.value)),
            is_fine.eq(~flit.payload[COUNT_WIDTH:].any()),
        ]
        with m.If(bursts.clear):
            m.d.sync += [sent.eq(0), taken.eq(0), count.eq(0)]
        with m.Elif(moves_in & is_header):
            m.d.sync += [
                nodes.eq(flit),
                sent.eq(0),
                taken.eq(0),
                count.eq(Mux(is_fine, flit.payload[:COUNT_WIDTH], 0)),
            ]
        with m.Elif(sent != count):
            m.d.sync += [sent.eq(sent + moves_out), taken.eq(taken + moves_in)]
            with m.If(moves_in):
                m.d.sync += second.eq(word[32:])

        m.d.comb += [
            Assert(bursts.raw == inside),
            Assert(bursts.stops == (inside & bursts.clear)),
            Assert(i.ready == (o.ready & ~owes)),
            Assert(o.valid == (owes | (i.valid & ~is_header))),
            Assert(bursts.beyond == (moves_in & is_header & ~is_fine)),
            Assert(taken == sent[1:] + sent[0]),
        ]
        with m.If(sent == count):
            m.d.comb += Assert(implies(o.valid, o.payload.as_value() == flit.as_value()))
        with m.Else():
            m.d.comb += [
                Assert(o.payload.kind == Kind.WRITE.value),
                *(Assert(o.payload[name] == nodes[name]) for name in NODES),
                Assert(implies(o.valid, o.payload.payload == Mux(owes, second, word[:32]))),
            ]
        if self._invariants:
            held = RECTANGLE(inner_signal(inner, "nodes"))
            left = inner_signal(inner, "left")
            m.d.comb += [
                Assert(sent <= count),
                Assert(left == Mux(inside, count - sent - owes, 0)),
                Assert(inner_signal(inner, "has_high") == owes),
                Assert(implies(owes, inner_signal(inner, "high") == second)),
                *(Assert(implies(sent != count, held[n] == nodes[n])) for n in NODES),
            ]
        return m


def test_bursts_are_their_writes():
    prove(BurstsAreTheirWrites(), "write_bursts", mode="prove", depth=2, sizes="tiny")


FAULTS = {
    "one too many": ("has_high.eq(left != 1)", "has_high.eq(1)"),
    "one too few": ("has_high.eq(left != 1)", "has_high.eq(left > 2)"),
    "counts on": ("Mux(left == 1, 0, left - 2)", "left - 2"),
    "halves swapped": ("high, self.word[:CHUNK_WIDTH]", "self.word[:CHUNK_WIDTH], high"),
    "word overtakes": ("self.o.ready & ~has_high)", "self.o.ready)"),
    "second half waits": ("eq(has_high | (self.i.valid", "eq((self.i.valid"),
    "header passes": ("self.i.valid & ~is_header", "self.i.valid"),
    "word of a codec is a header": ("~self.raw & ~self.passes &", "~self.raw &"),
    "data is a header": ("~self.raw & ~self.passes &", "~self.passes &"),
    "bits beyond are not seen": ("takes & is_header & is_wrong", "0"),
    "bits beyond begin a burst": ("Mux(is_wrong, 0, flit.payload)", "flit.payload"),
    "clear leaves a half": ("[left.eq(0), has_high.eq(0)]", "[left.eq(0)]"),
    "counts without being taken": ("self.i.valid & self.i.ready", "self.i.valid"),
    "second goes without being taken": ("m.If(has_high & self.o.ready)", "m.If(has_high)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_write_bursts_are_found(fault):
    component = BurstsAreTheirWrites(FAULTS[fault], invariants=False)
    refute(component, f"write_bursts_{fault.replace(' ', '_')}", depth=8)
