# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the tokens to a core's sources; each has twins with a fault that must be refuted."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Mux, Signal

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core.flow_control import FlowControl
from stemcore.hdl.layouts import struct
from tests.support.formal import implies, inner_signal, inner_state, prove, refute

pytestmark = pytest.mark.sim

SMALL = get_preset("tiny").with_(coord_width=2, n_destinations=4)
SPIKE = Formats(SMALL).spike
SIZES = "4 entries, 2 bits a coordinate"


class EachSourceIsTold(FlowControl):
    """Any one entry of any list, among any grants, levels of the queue and waits of the mesh.

    A CREDIT goes to it for every grant, before ``granting`` ends, and none besides. PACE goes to it
    in turns, hold first, and the last one says go on when all is idle. What is offered stays until
    it is taken. ``invariants`` tells the induction what the states between are.
    """

    def __init__(self, fault=None, *, invariants=True):
        self._fault, self._invariants = fault, invariants
        super().__init__(params=SMALL)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        fault, flit = self._fault, self.o.payload
        is_credit, has_asked, says_hold, left = (
            inner_signal(m, name) for name in ("is_credit", "has_asked", "says_hold", "left")
        )
        start, count, watched = AnyConst(2), AnyConst(3), AnyConst(2)
        m.d.comb += [
            Assume(self.credit_list.start == start),
            Assume(self.credit_list.count == count),
            Assume((count <= SMALL.n_destinations) & (watched < count)),
        ]
        if fault == "PACE takes the place of CREDIT":
            with m.If(self.is_high):
                m.d.sync += is_credit.eq(0)
        if fault != "granted while granting":
            m.d.comb += Assume(~(self.grant & self.granting))
        # The table: its word for an entry is the entry's number, in the second cycle after.
        is_lent, was_lent = Signal(), Signal()
        lending, lent = Signal(2), Signal(2)
        m.d.sync += [
            is_lent.eq(self.borrow),
            was_lent.eq(is_lent),
            lending.eq(self.borrow_address),
            lent.eq(lending),
        ]
        if fault == "entries come late":
            before = Signal(2)
            m.d.sync += before.eq(lent)
            m.d.comb += Assume(self.borrowed.x0 == before)
        else:
            m.d.comb += Assume(implies(was_lent, self.borrowed.x0 == lent))

        due, asked, taken = Signal(), Signal(), Signal()
        t = struct(SPIKE)(flit.payload[: SPIKE.width]).t
        credited, paced, says = Signal(), Signal(), Signal()
        is_taken = 1 if fault == "taken twice" else self.o.ready
        m.d.comb += [
            taken.eq(self.o.valid & is_taken & (flit.x0 == (start + watched)[:2])),
            credited.eq(taken & (flit.kind == Kind.CREDIT.value)),
            paced.eq(taken & (flit.kind == Kind.PACE.value)),
            says.eq(t == 1),
            Assert(implies(taken, credited | paced)),
            Assert(implies(credited, due)),
            Assert(implies(~self.granting, ~due)),
            Assert(implies(paced, (says != asked) & (t <= 1))),
            Assert(implies(self.idle, ~due & ~asked & ~self.o.valid)),
        ]
        with m.If(self.grant):
            m.d.sync += due.eq(1)
        with m.Elif(credited):
            m.d.sync += due.eq(0)
        with m.If(paced):
            m.d.sync += asked.eq(says)
        waits, waiting = Signal(), Signal.like(flit)
        m.d.sync += [waits.eq(self.o.valid & ~self.o.ready), waiting.eq(flit)]
        m.d.comb += Assert(implies(waits, self.o.valid & (waiting.as_value() == flit.as_value())))

        if self._invariants:
            watching, waits_for, reads, sends = (
                inner_state(m, "list", name) for name in ("WATCH", "WAIT", "READ", "SEND")
            )
            n_read, n_gone = Signal(3), Signal(3)
            passed = Signal()
            in_credits, in_paces = ~watching & is_credit, ~watching & ~is_credit
            m.d.comb += [
                n_read.eq(count - left),
                n_gone.eq(n_read - sends),
                passed.eq(watched < n_gone),
                Assert(self.o.valid == sends),
                Assert(is_lent == waits_for),
                Assert(was_lent == reads),
                Assert(implies(waits_for, (lending == self.borrow_address) & left.any())),
                Assert(implies(reads, (lent == self.borrow_address) & left.any())),
                Assert(implies(~watching, left <= count)),
                Assert(implies(~watching, self.borrow_address == (start + n_read)[:2])),
                Assert(implies(sends, n_read.any() & (flit.x0 == (start + n_gone)[:2]))),
                Assert(
                    implies(
                        sends,
                        (flit.kind == Mux(is_credit, Kind.CREDIT.value, Kind.PACE.value))
                        & (t == (says_hold & ~is_credit)),
                    )
                ),
                Assert(due == Mux(in_credits, ~passed, self.granting)),
                Assert(implies(in_credits, self.granting)),
                Assert(asked == Mux(in_paces, passed == says_hold, has_asked)),
                Assert(implies(in_paces, has_asked)),
            ]
        return m


def test_no_credit_is_lost_or_sent_twice():
    prove(EachSourceIsTold(), "flow_control", mode="prove", depth=3, sizes=SIZES)


FAULTS = [
    "granted while granting",
    "entries come late",
    "taken twice",
    "PACE takes the place of CREDIT",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_flow_control_are_found(fault):
    component = EachSourceIsTold(fault, invariants=False)
    refute(component, f"flow_control_{fault.replace(' ', '_')}", depth=16)


class ListsEnd(FlowControl):
    """Where the mesh takes everything, ``granting`` lasts no longer than ``bound``.

    Two lists of two entries: the CREDITs, and the PACE that had been begun.
    """

    def __init__(self, bound):
        self._bound = bound
        super().__init__(params=SMALL)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        cycles = Signal(6)
        m.d.sync += cycles.eq(Mux(self.granting, cycles + 1, 0))
        m.d.comb += [
            Assume(self.o.ready & (self.credit_list.count <= 2)),
            Assume(~(self.grant & self.granting)),
            Assert(cycles < self._bound),
        ]
        return m


def test_a_pace_delays_a_credit_by_one_list_at_most():
    one_list = 4 * 2 + 2
    prove(ListsEnd(2 * one_list), "flow_control_ends", depth=42, sizes=SIZES)
    refute(ListsEnd(2 * one_list - 1), "flow_control_ends_early", depth=28)
