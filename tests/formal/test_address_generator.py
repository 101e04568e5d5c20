# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proof that the address generator follows its specification; twins must be refuted.

The specification is ``stemcore.golden.spec.address_generation.loop_nest``: three loops, and for
each of their indices an address as a sum of products. The gateware has neither loops nor products.
"""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import stemcore.hdl.core.address_generator
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core.address_generator import loop_nest_layout
from tests.support.formal import implies, inner_signal, planted, prove, refute

pytestmark = pytest.mark.sim

# Products of any wider factors do not come back from the solver.
SMALL = get_preset("tiny").with_(n_acc_words=8, n_weight_words=8, n_blocks=4, n_axons=2)


class FollowsTheSpecification(wiring.Component):
    """Operations are those of the loop nests taken, in the order and with the values specified.

    Row j, column i, channel block b, as nested loops; the addresses are those of
    ``golden.spec.address_generation`` for these indices, modulo their widths; shift and sign are
    the nest's, and ``n_lanes`` that of a whole word but for the last block. A nest follows the one
    before without a bubble, and the generator is idle when it has none. ``invariants`` tells the
    induction what the registers between are.
    """

    payload: In(loop_nest_layout(SMALL))

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(stemcore.hdl.core.address_generator, *faults)
        self._generator = module.AddressGenerator(SMALL)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        generator, taken = self._generator, self.payload
        m.submodules.generator = inner = generator.elaborate(platform)
        m.d.comb += [generator.i.valid.eq(AnySeq(1)), generator.i.payload.eq(taken)]
        for name in ("block", "column", "row"):
            count = taken[f"n_{name}s"]
            m.d.comb += Assume((count != 0) & (taken[f"single_{name}"] == (count == 1)))

        # The loops: one nest that runs, and one that waits.
        running, waiting = (Signal(taken.shape(), name=name) for name in ("running", "waiting"))
        runs, waits, ends = Signal(), Signal(), Signal()
        j, i, b = (
            Signal.like(taken.n_rows),
            Signal.like(taken.n_columns),
            Signal.like(taken.n_blocks),
        )
        at_last = [
            index == count - 1
            for index, count in (
                (b, running.n_blocks),
                (i, running.n_columns),
                (j, running.n_rows),
            )
        ]
        m.d.comb += ends.eq(~runs | (at_last[0] & at_last[1] & at_last[2]))
        with m.If(generator.i.ready):
            m.d.sync += waits.eq(generator.i.valid)
            m.d.sync += waiting.eq(taken)
        with m.If(ends):
            m.d.sync += [runs.eq(waits), running.eq(waiting), j.eq(0), i.eq(0), b.eq(0)]
        with m.Elif(~at_last[0]):
            m.d.sync += b.eq(b + 1)
        with m.Elif(~at_last[1]):
            m.d.sync += [b.eq(0), i.eq(i + 1)]
        with m.Else():
            m.d.sync += [b.eq(0), i.eq(0), j.eq(j + 1)]

        op = generator.op
        m.d.comb += [
            Assert(generator.op_valid == runs),
            Assert(generator.idle == ~(runs | waits)),
            Assert(generator.i.ready == (~waits | ends)),
        ]
        with m.If(runs):
            m.d.comb += [
                Assert(op.shift == running.shift),
                Assert(op.negate == running.negate),
                Assert(op.n_lanes == Mux(at_last[0], running.tail, SMALL.lanes - 1)),
            ]
        for name in ("acc", "weight"):
            x_step, y_step = running[f"x_{name}_step"], running[f"y_{name}_step"]
            width = len(op[name])
            address = running[name] + j * y_step + i * x_step
            m.d.comb += Assert(implies(runs, op[name] == (address + b)[:width]))
            if self._invariants:
                column, row = (
                    inner_signal(inner, f"next_{kind}_{name}") for kind in ("column", "row")
                )
                next_row = running[name] + (j + 1) * y_step
                m.d.comb += [
                    Assert(implies(runs, column == (address + x_step)[:width])),
                    Assert(implies(runs, row == next_row[:width])),
                ]
        if self._invariants:
            self._tell(m, inner, running, runs, waiting, waits, (b, i, j), at_last)
        return m

    @staticmethod
    def _tell(m, inner, running, runs, waiting, waits, indices, at_last):
        m.d.comb += [
            Assert(inner_signal(inner, "nest_v") == runs),
            Assert(inner_signal(inner, "following_v") == waits),
            Assert(implies(runs, inner_signal(inner, "loop_nest") == running.as_value())),
            Assert(implies(waits, inner_signal(inner, "following") == waiting.as_value())),
        ]
        for nest, is_there in ((running, runs), (waiting, waits)):
            for name in ("block", "column", "row"):
                count = nest[f"n_{name}s"]
                is_right = (count != 0) & (nest[f"single_{name}"] == (count == 1))
                m.d.comb += Assert(implies(is_there, is_right))
        for name, index, is_last in zip(("block", "column", "row"), indices, at_last, strict=True):
            count = running[f"n_{name}s"]
            left, last = inner_signal(inner, f"n_{name}s"), inner_signal(inner, f"last_{name}")
            m.d.comb += Assert(
                implies(runs, (index < count) & (left == count - index) & (last == is_last))
            )


def test_the_address_generator_follows_the_specification():
    sizes = "8 words of potentials and of weights, 4 blocks"
    name = "address_generator"
    prove(FollowsTheSpecification(), name, mode="prove", depth=2, sizes=sizes)


FAULTS = {
    "a block less": ("last_block.eq(n_blocks == 2)", "last_block.eq(n_blocks == 3)"),
    "a row less": ("last_row.eq(n_rows == 2)", "last_row.eq(n_rows == 3)"),
    "columns go on from the row before": (
        "start = Mux(change, following[name], row)",
        "start = Mux(change, following[name], column)",
    ),
    "steps of the next nest": (
        "Mux(change, following[x_step], loop_nest[x_step])",
        "Mux(following_v, following[x_step], loop_nest[x_step])",
    ),
    "a tail in every block": ("(~last_block).replicate(p.lane_width)", "0"),
    "takes a nest too many": ("self.i.ready.eq(~following_v | change)", "self.i.ready.eq(1)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_address_generator_are_found(fault):
    component = FollowsTheSpecification(FAULTS[fault], invariants=False)
    refute(component, f"address_generator_{fault.replace(' ', '_')}", depth=9)
