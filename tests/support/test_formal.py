# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The proof helper itself: a verdict is never taken for the other."""

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tests.support.formal import ProofError, inner_signal, prove, refute

pytestmark = pytest.mark.sim


class CountsBelow(wiring.Component):
    """A count that wraps at 6 stays below ``bound``; ``step`` is the solver's."""

    step: In(1)

    def __init__(self, bound):
        self._bound = bound
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(3)
        with m.If(self.step):
            m.d.sync += count.eq(count + 1)
            with m.If(count == 5):
                m.d.sync += count.eq(0)
        m.d.comb += Assert(count < self._bound)
        return m


def test_prove_accepts_what_holds():
    prove(CountsBelow(6), "helper_holds", mode="prove", depth=2)


def test_prove_raises_for_a_counterexample():
    with pytest.raises(
        ProofError, match=r"^helper_fails: must hold in bmc of depth 8, was refuted"
    ):
        prove(CountsBelow(5), "helper_fails", depth=8)


def test_refute_raises_for_what_holds():
    with pytest.raises(
        ProofError, match=r"^helper_true: must be refuted in bmc of depth 8, was pr"
    ):
        refute(CountsBelow(6), "helper_true", depth=8)


def test_failed_induction_is_neither():
    with pytest.raises(ProofError, match=r"^helper_unknown: must pass or fail, got UNKNOWN"):
        prove(CountsBelow(7), "helper_unknown", mode="prove", depth=1)


def test_inner_signal_must_be_unique():
    m = CountsBelow(6).elaborate(None)
    assert inner_signal(m, "count").name == "count"
    with pytest.raises(LookupError, match=r"^other: must name one driven signal, got 0$"):
        inner_signal(m, "other")
