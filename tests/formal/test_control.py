# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of how a core counts tokens; each has twins with a fault that must be refuted."""

import pytest
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, Cat, Mux, Signal

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control as Register
from stemcore.hdl.core.control import Control
from tests.support.formal import implies, inner_signal, inner_state, prove, refute

pytestmark = pytest.mark.sim

N = 2  # sources, and destinations


class NoTokenIsLost(Control):
    """A core between two sources and two destinations that keep the protocol, at any pace.

    A source sends one END for each grant, a destination one CREDIT to begin with and one for each
    firing; both may do so before the list of tokens that permits it has left the core. No token
    comes that is not awaited or in the cycle in which the others are used up; nothing is fired,
    updated or granted without all of them; and a core that waits, waits for a source that holds its
    grant, or for a destination that may send a CREDIT. ``invariants`` tells the induction what the
    states between are.
    """

    def __init__(self, preset, fault=None, *, invariants=True):
        self._fault, self._invariants = fault, invariants
        super().__init__(params=get_preset(preset))

    def elaborate(self, platform):
        m = super().elaborate(platform)
        fault = self._fault
        names = ("running", "unfired", "has_fired", "use_ends", "use_credits")
        running, unfired, has_fired, use_ends, use_credits = (
            inner_signal(m, name) for name in names
        )
        n_ends, n_credits = inner_signal(m, "n_ends"), inner_signal(m, "n_credits")
        done, writes = self._configure(m)
        if fault == "forgets to grant":
            m.d.comb += self.grant.eq(0)
        elif fault == "does not wait for its firing":
            m.d.comb += has_fired.eq(1)

        # Blocks are busy from the cycle after a command on, for any time.
        for busy, command in (
            (self.soma_busy, self.update_pass | self.clear_all),
            (self.fire_busy, self.fire),
            (self.granting, self.grant),
        ):
            is_busy = Signal()
            m.d.sync += is_busy.eq(command | (is_busy & AnySeq(1)))
            m.d.comb += [Assume(busy == is_busy), Assert(~(command & busy))]

        may_end, may_credit = Signal(N), Signal(N, init=(1 << N) - 1)
        by_source, by_destination = AnySeq(N), AnySeq(N)
        for chosen, may, token in (
            (by_source, may_end, self.end),
            (by_destination, may_credit, self.credit),
        ):
            m.d.comb += [
                Assume((chosen & (chosen - 1)) == 0),
                Assume((chosen & ~may) == 0),
                Assume(token == chosen.any()),
            ]
        m.d.sync += [
            may_end.eq(Mux(self.grant, (1 << N) - 1, may_end & ~by_source)),
            may_credit.eq(Mux(self.fire, (1 << N) - 1, may_credit & ~by_destination)),
        ]
        if fault == "a source ends twice":
            m.d.sync += may_end.eq(may_end | self.grant.replicate(N))
        elif fault == "a destination grants twice":
            m.d.sync += may_credit.eq((1 << N) - 1)

        stopped, start = inner_state(m, "phase", "STOPPED"), inner_signal(m, "start")
        at_rest = self.axon_idle & self.dendrite_idle
        at_rest &= ~(self.soma_busy | self.granting | self.fire_busy)
        ends_a_sample = self.update_pass & self.is_last_period
        m.d.comb += [
            Assert(self.at_work == ((~stopped | start) & ~self.stop)),
            Assert(implies(self.end, (n_ends < N) & ~use_ends)),
            Assert(implies(self.credit, (n_credits < N) & ~use_credits)),
            Assert(implies(self.fire, (may_credit == 0) & unfired)),
            Assert(implies(self.update_pass | self.grant, may_end == 0)),
            Assert(implies(ends_a_sample, ~unfired & ~self.fire_busy)),
            Assert(
                implies(
                    self.waiting & running & at_rest,
                    may_end.any() | (unfired & may_credit.any()),
                )
            ),
        ]
        if self._invariants:
            self._tell(m, done, writes, may_end, may_credit)
        return m

    def _configure(self, m):
        """Registers are written one after the other, then START, at any time.

        Returns how many writes are done, and those of registers: (register, value, its name).
        """
        writes = [
            (Register.N_SOURCES, N, "n_sources"),
            (Register.N_DESTINATIONS, N, "n_destinations"),
        ]
        if self._params.model.register:
            steps, bits = AnyConst(2), AnyConst(2)
            m.d.comb += Assume((steps != 0) & (bits != 0))
            writes += [(Register.INTEGRATION, steps, "constants"), (Register.MODE, bits, "mode")]
        done = Signal(range(len(writes) + 2))
        start = Formats(self._params).command.pack(
            start=1, clear_counters=0, stop=0, clear_errors=0
        )
        commands = [*writes, (Register.COMMAND, start, "")]
        # Address and data come in the cycle after their write, which is counted by then.
        shown = (done - 1)[: len(done)]
        address, data = (Array(command[i] for command in commands)[shown] for i in (0, 1))
        m.d.comb += [
            Assume(self.config.memory == Memory.CONTROL.value),
            Assume(self.config.address == address),
            Assume(self.config.data == data),
            Assume(implies(done == len(commands), ~self.config.write)),
            Assume(
                self.config.commands.as_value()
                == Mux(self.config.write & (done == len(writes)), start, 0)
            ),
            Assume(~self.config.read),
        ]
        with m.If(self.config.write):
            m.d.sync += done.eq(done + 1)
        return done, writes

    def _tell(self, m, done, writes, may_end, may_credit):
        stopped, cleared, accumulates, update_passes = (
            inner_state(m, "phase", name) for name in ("STOPPED", "CLEAR", "ACCUMULATE", "UPDATE")
        )
        running, unfired, complete, permitted = (
            inner_signal(m, name) for name in ("running", "unfired", "complete", "permitted")
        )
        start = inner_signal(m, "start")
        n_ends, n_credits = inner_signal(m, "n_ends"), inner_signal(m, "n_credits")
        # A register has its value in the third cycle after the write.
        selected = inner_signal(m, "selected")
        late, written = inner_signal(m, "writes"), inner_signal(m, "written")
        places = {Register.N_SOURCES: 0, Register.N_DESTINATIONS: 1}
        places |= {Register.MODE: 4, Register.INTEGRATION: 8}
        mask = sum(1 << places[register] for register, _, _ in writes)
        m.d.comb += Assert((late & ~mask) == 0)
        for i, (register, value, name) in enumerate(writes):
            is_late = late[places[register]]
            is_shown = selected & (done == i + 1)
            has_value = (done > i) & ~is_shown & ~is_late
            m.d.comb += [
                Assert(inner_signal(m, name) == Mux(has_value, value, 0)),
                Assert(implies(is_late, (done == i + 1 + selected) & (written == value))),
            ]
        m.d.comb += [
            Assert(done <= len(writes) + 1),
            Assert(implies(selected, done != 0)),
            # START is taken the cycle after its write.
            Assert(stopped == ((done <= len(writes)) | start)),
            Assert(implies(start, done == len(writes) + 1)),
            Assert(running == ~(stopped | cleared)),
            Assert(n_ends == Mux(accumulates, N - sum(may_end), 0)),
            Assert(implies(~accumulates, may_end == 0)),
            Assert(n_credits == N - sum(may_credit)),
            Assert(implies(complete, running & (n_ends == N))),
            Assert(implies(permitted & running, n_credits == N)),
            Assert(implies(self.soma_busy, cleared | update_passes)),
            Assert(implies(unfired | self.fire_busy, running)),
        ]
        if self._params.model.register:
            steps, bits = writes[2][1], writes[3][1]
            is_last = self.period == steps - 1
            m.d.comb += [
                Assert(implies(~stopped, self.period < steps)),
                Assert(implies(~stopped, self.plane < bits)),
                Assert(implies(stopped, (self.period == 0) & (self.plane == 0))),
                Assert(implies(~unfired, self.plane == 0)),
                Assert(implies(accumulates | update_passes, self.is_last_period == is_last)),
                Assert(implies(update_passes & is_last, ~unfired & ~self.fire_busy)),
            ]
        else:
            m.d.comb += [
                Assert(implies(update_passes, ~unfired & ~self.fire_busy)),
                Assert(~(unfired & self.fire_busy)),
            ]


@pytest.mark.parametrize("preset", ["tiny", "tiny_late"])
def test_no_token_is_lost_and_none_awaited_in_vain(preset):
    sizes = f"preset {preset}, {N} sources, {N} destinations"
    prove(NoTokenIsLost(preset), f"control_{preset}", mode="prove", depth=3, sizes=sizes)


FAULTS = [
    "forgets to grant",
    "does not wait for its firing",
    "a source ends twice",
    "a destination grants twice",
]


@pytest.mark.parametrize(
    ("preset", "fault"),
    [*(("tiny", fault) for fault in FAULTS), ("tiny_late", "forgets to grant")],
)
def test_faults_of_tokens_are_found(preset, fault):
    component = NoTokenIsLost(preset, fault, invariants=False)
    refute(component, f"control_{preset}_{fault.replace(' ', '_')}", depth=24)


class AtWorkIsKnownBefore(Control):
    """The register ``at_work`` says what the phases, START and STOP do, whatever the bus brings."""

    def __init__(self, fault=None):
        self._fault = fault
        super().__init__(params=get_preset("tiny"))

    def elaborate(self, platform):
        m = super().elaborate(platform)
        stopped = inner_state(m, "phase", "STOPPED")
        start, starts, stops = (inner_signal(m, name) for name in ("start", "starts", "stops"))
        if self._fault == "forgets STOP":
            m.d.sync += self.at_work.eq(self.at_work | starts)
        elif self._fault == "forgets what it was":
            m.d.sync += self.at_work.eq(starts & ~stops)
        phases = ("STOPPED", "CLEAR", "GRANT", "ACCUMULATE", "UPDATE")
        m.d.comb += [
            Assert(self.at_work == ((~stopped | start) & ~self.stop)),
            Assert(Cat(inner_state(m, "phase", name) for name in phases).any()),
        ]
        return m


def test_at_work_is_known_before():
    prove(AtWorkIsKnownBefore(), "at_work", mode="prove", depth=2, sizes="preset tiny, any input")


@pytest.mark.parametrize("fault", ["forgets STOP", "forgets what it was"])
def test_faults_of_at_work_are_found(fault):
    component = AtWorkIsKnownBefore(fault)
    refute(component, f"at_work_{fault.replace(' ', '_')}", depth=6)
