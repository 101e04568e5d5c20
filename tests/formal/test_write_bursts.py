# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that write bursts become the WRITE flits that they stand for, and nothing else does."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
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

    All other flits pass in their cycle, and none is made of nothing. A word is taken once, with the
    last flit that it holds; whoever is ready for a flit is never kept waiting by an offered word.
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
        # Of the stream: a word that was offered stays until it is taken, though it may be held.
        before, waits = Signal.like(word), Signal()
        m.d.sync += [before.eq(word), waits.eq((waits | i.valid) & ~(i.valid & i.ready))]
        m.d.comb += Assume(implies(waits, before == word))

        flit = i.payload
        count, nodes = Signal(COUNT_WIDTH), Signal.like(flit)
        sent, taken = Signal(COUNT_WIDTH), Signal(COUNT_WIDTH)
        inside, moves_in, moves_out = Signal(), Signal(), Signal()
        is_header, is_fine = Signal(), Signal()
        m.d.comb += [
            inside.eq(sent != count),
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
        with m.Elif(inside):
            m.d.sync += [sent.eq(sent + moves_out), taken.eq(taken + moves_in)]

        m.d.comb += [
            Assert(bursts.raw == inside),
            Assert(implies(o.valid, i.valid)),
            Assert(implies(i.valid & o.ready, moves_in | moves_out)),
            Assert(bursts.beyond == (moves_in & is_header & ~is_fine)),
            Assert(implies(is_header, ~o.valid)),
            Assert(implies(~inside & ~is_header, o.payload.as_value() == flit.as_value())),
            Assert(implies(~inside & ~is_header, (moves_in == moves_out))),
            # Of a burst: all words but the last hold two flits, and none is left behind.
            Assert(taken == sent[1:] + Mux(inside, 0, sent[0])),
        ]
        with m.If(inside & o.valid):
            m.d.comb += [
                Assert(o.payload.kind == Kind.WRITE.value),
                *(Assert(o.payload[name] == nodes[name]) for name in NODES),
                Assert(o.payload.payload == word.word_select(sent[0], 32)),
            ]
        if self._invariants:
            m.d.comb += [
                Assert(sent <= count),
                Assert(inner_signal(inner, "left") == count - sent),
                Assert(inner_signal(inner, "is_high") == (inside & sent[0])),
            ]
            held = RECTANGLE(inner_signal(inner, "nodes"))
            for name in NODES:
                m.d.comb += Assert(implies(inside, held[name] == nodes[name]))
        return m


def test_bursts_are_their_writes():
    prove(BurstsAreTheirWrites(), "write_bursts", mode="prove", depth=2, sizes="tiny")


FAULTS = {
    "one too many": ("left.eq(left - 1)", "left.eq(left - (left != 2))"),
    "halves swapped": ("word_select(is_high", "word_select(~is_high"),
    "last half is waited for": ("is_high | (left == 1)", "is_high"),
    "word taken early": ("(~self.raw | ends_word)", "1"),
    "header passes": ("self.i.valid & ~is_header", "self.i.valid"),
    "word of a codec is a header": ("~self.raw & ~self.passes &", "~self.raw &"),
    "data is a header": ("~self.raw & ~self.passes &", "~self.passes &"),
    "bits beyond are not seen": ("takes & is_header & is_wrong", "0"),
    "bits beyond begin a burst": ("Mux(is_wrong, 0, flit.payload)", "flit.payload"),
    "clear leaves a half": ("[left.eq(0), is_high.eq(0)]", "[left.eq(0)]"),
    "counts without being taken": ("self.i.valid & self.o.ready", "self.i.valid"),
    "first of its nodes only": ("nodes[name].eq(flit[name])", "nodes[name].eq(flit.x0)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_write_bursts_are_found(fault):
    component = BurstsAreTheirWrites(FAULTS[fault], invariants=False)
    refute(component, f"write_bursts_{fault.replace(' ', '_')}", depth=8)
