# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of what an error cannot do; each has twins with a fault that must be refuted."""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import stemcore.hdl.core.ingress
from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control as Register
from stemcore.hdl.core.configuration import BLOCKS, Configuration
from stemcore.hdl.core.control import Control
from stemcore.hdl.core.error_register import ErrorRegister
from stemcore.hdl.core.ingress import FlitCheck, Ingress
from stemcore.hdl.core.memory import ConfigMemory
from stemcore.hdl.layouts import ConfigBus
from tests.support.formal import implies, inner_signal, inner_state, planted, prove, refute

pytestmark = pytest.mark.sim

# Formats as everywhere, memories that a solver can see through.
SMALL = get_preset("tiny").with_(coord_width=2, n_fire_words=4)
SIZES = "2 bits a coordinate, 4 words to fire"


# A flit has one effect, or is one error ---------------------------------------------------------
class Careless(FlitCheck):
    def _reserved(self, payload):
        return dict.fromkeys(Kind, Const(0))


Patient = planted(
    stemcore.hdl.core.ingress,
    (
        "(~verdict.is_spike | self.spike.ready)",
        "(~verdict.is_spike | (self.spike.ready & self.may_spike))",
    ),
).Ingress


class OneEffect(wiring.Component):
    """Any flit, whatever is due: handed to one block, or told as one cause; never both or neither.

    It waits only while the block that it would be handed to has no room; a token never waits.
    There is no state, so that one cycle shows it for all.
    """

    def __init__(self, fault=None):
        self._fault = fault
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        fault = self._fault
        kind = Patient if fault == "waits for what is not due" else Ingress
        check_kind = Careless if fault == "reserved bits" else FlitCheck
        m.submodules.ingress = ingress = kind(params=SMALL)
        m.submodules.check = check = check_kind(params=SMALL)
        due = {
            name: AnySeq(1)
            for name in ("may_spike", "may_credit", "may_hold", "may_go", "is_inside")
        }
        flit = ingress.i.payload
        width = len(Value.cast(flit))
        m.d.comb += [
            ingress.i.valid.eq(AnySeq(1)),
            Value.cast(flit).eq(AnySeq(width)),
            check.kind.eq(flit.kind),
            check.payload.eq(flit.payload),
            ingress.verdict.eq(check.verdict),
            ingress.spike.ready.eq(AnySeq(1)),
            ingress.config.ready.eq(AnySeq(1)),
            *(getattr(ingress, name).eq(1 if name == fault else due[name]) for name in due),
        ]
        comes = ingress.i.valid & ingress.i.ready
        spike, config = (out.valid & out.ready for out in (ingress.spike, ingress.config))
        spike &= ingress.keep
        config &= ingress.keep_config
        lost = 1 << Error.TOKEN if fault == "a cause is lost" else 0
        waits_for_spikes = (flit.kind == Kind.SPIKE.value) & ~ingress.spike.ready
        configures = flit.kind.matches(*(k.value for k in (Kind.ADDRESS, Kind.WRITE, Kind.READ)))
        waits_to_configure = configures & ~ingress.config.ready
        all_of_it = Signal(6 + len(Error))
        causes = ingress.causes & ~lost
        m.d.comb += [
            all_of_it.eq(
                Cat(
                    *(spike, config, ingress.end, ingress.credit, ingress.hold, ingress.go),
                    Mux(ingress.keep, causes & ~(1 << Error.RANGE), causes),
                )
            ),
            Assert(all_of_it.any() == comes),
            Assert(
                implies(ingress.i.valid & ~ingress.i.ready, waits_for_spikes | waits_to_configure)
            ),
            Assert((all_of_it & (all_of_it - 1)) == 0),
            Assert(implies(spike, due["may_spike"] & due["is_inside"])),
            Assert(implies(ingress.end, due["may_spike"])),
            Assert(implies(ingress.credit, due["may_credit"])),
            Assert(implies(ingress.hold, due["may_hold"])),
            Assert(implies(ingress.go, due["may_go"])),
            Assert(implies(ingress.hold | ingress.go, ingress.asks_hold == ingress.hold)),
            Assert(implies(ingress.end | ingress.credit | ingress.go, flit.payload == 0)),
            Assert(implies(config & (flit.kind == Kind.READ.value), flit.payload == 0)),
        ]
        return m


def test_a_flit_has_one_effect_or_is_one_error():
    prove(OneEffect(), "one_effect", depth=1, sizes="all flits; no state: one cycle is all")


@pytest.mark.parametrize(
    "fault",
    [
        *("may_spike", "may_credit", "may_hold", "may_go", "is_inside"),
        *("reserved bits", "a cause is lost", "waits for what is not due"),
    ],
)
def test_faults_of_the_ingress_are_found(fault):
    refute(OneEffect(fault), f"one_effect_{fault.replace(' ', '_')}", depth=1)


# The configuration unit -------------------------------------------------------------------------
class Waits(Configuration):
    """As before answers could wait by themselves: nothing is accepted until they are gone."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Configuration(params=SMALL)
        for name in ("at_work", "keep", "alert", *(f"read_{block}" for block in BLOCKS)):
            m.d.comb += getattr(inner, name).eq(getattr(self, name))
        is_open = ~inner.reply.valid
        m.d.comb += [
            inner.i.valid.eq(self.i.valid & is_open),
            inner.i.payload.eq(self.i.payload),
            self.i.ready.eq(inner.i.ready & is_open),
            self.alerted.eq(inner.alerted),
            self.causes.eq(inner.causes),
            self.idle.eq(inner.idle),
        ]
        wiring.connect(m, inner.reply, wiring.flipped(self.reply))
        wiring.connect(m, inner.bus, wiring.flipped(self.bus))
        return m


class Trusting(Configuration):
    """Refuses nothing, though it tells."""

    def _refused(self, *args):
        refused = super()._refused(*args)
        for name in ("write", "read", "command"):
            setattr(refused, name, Const(0))
        return refused


class KeepsOut(wiring.Component):
    """Any flits, with the mesh taking answers at any time or never.

    A flit waits for seven cycles at most. While the core runs, nothing is written but COMMAND, and
    nothing read but CONTROL; and nothing beyond a memory ever. What is accepted is an ADDRESS, or
    an error or on the bus in the next cycle.
    """

    def __init__(self, unit=Configuration):
        self._unit = unit
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit(params=SMALL)
        flit, bus = unit.i.payload, unit.bus
        alert = Signal()
        m.d.comb += [
            unit.i.valid.eq(AnySeq(1)),
            Value.cast(flit).eq(AnySeq(len(Value.cast(flit)))),
            Assume(
                (flit.kind == Kind.ADDRESS.value)
                | (flit.kind == Kind.WRITE.value)
                | (flit.kind == Kind.READ.value)
            ),
            unit.reply.ready.eq(AnySeq(1)),
            unit.at_work.eq(AnySeq(1)),
            unit.alert.eq(alert & AnySeq(1)),
            unit.keep.eq(AnySeq(1)),
        ]
        m.d.sync += alert.eq(1)
        waited = Signal(4)
        with m.If(unit.i.ready):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
        accept = unit.i.valid & unit.i.ready & unit.keep
        came = Signal()
        # Address and data come in the cycle after what is to be done with them.
        did_write, did_read, did_command = Signal(), Signal(), Signal()
        was_at_work, was_control, was_fire = Signal(), Signal(), Signal()
        is_control = bus.memory == Memory.CONTROL.value
        commands = bus.commands.as_value().any()
        m.d.sync += [
            came.eq(accept & (flit.kind != Kind.ADDRESS.value)),
            did_write.eq(bus.write),
            did_read.eq(bus.read),
            did_command.eq(commands),
            was_at_work.eq(unit.at_work),
            was_control.eq(is_control),
            was_fire.eq(bus.memory == Memory.FIRE.value),
        ]
        is_command = was_control & (bus.address == Register.COMMAND.value)
        is_beyond = was_fire & (bus.address >= SMALL.n_fire_words)
        m.d.comb += [
            Assert(waited <= 7),
            Assert((bus.write | bus.read) == ((came & ~unit.causes.any()) | unit.alerted)),
            Assert(~(bus.write & bus.read)),
            Assert(implies(commands, bus.write)),
            Assert(implies(did_command, is_command)),
            Assert(implies(did_write & was_at_work, is_command)),
            Assert(implies(bus.read & unit.at_work, is_control)),
            Assert(implies(did_write | did_read, ~is_beyond)),
            Assert(implies(unit.causes.any(), came)),
        ]
        return m


def test_configuration_keeps_out_what_is_forbidden_and_never_waits_for_the_mesh():
    prove(KeepsOut(), "keeps_out", depth=14, sizes=SIZES)


@pytest.mark.parametrize("unit", [Waits, Trusting])
def test_faults_of_the_configuration_unit_are_found(unit):
    refute(KeepsOut(unit), f"keeps_out_{unit.__name__}", depth=14)


# Reads of other memories ------------------------------------------------------------------------
class AnyRead(ConfigMemory):
    """A read of any memory takes the port, as in the first gateware."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = ConfigMemory(
            params=SMALL, memory=self._memory, registered=self._registered
        )
        wiring.connect(m, wiring.flipped(self.config), inner.config)
        m.d.comb += [
            inner.address.eq(self.address),
            inner.enable.eq(self.enable),
            self.read_chunk.eq(inner.read_chunk),
            self.data.eq(inner.data),
        ]
        with m.If(self.config.read):
            m.d.comb += [inner.address.eq(self.config.address), inner.enable.eq(1)]
        return m


class OthersAreNoneOfItsBusiness(wiring.Component):
    """Two copies of a memory, one of which sees no reads of others: the core reads the same."""

    config: In(ConfigBus())

    def __init__(self, *, registered, kind=ConfigMemory):
        self._registered, self._kind = registered, kind
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        copies = [
            kind(params=SMALL, memory=Memory.FIRE, registered=self._registered)
            for kind in (self._kind, ConfigMemory)
        ]
        address, enable = AnySeq(2), AnySeq(1)
        is_own = self.config.memory == Memory.FIRE.value
        has_read = Signal(2)  # before, a port gives anything
        takes = Signal()
        m.d.sync += takes.eq(self.config.read & is_own)
        with m.If(enable | takes):
            m.d.sync += has_read.eq(Cat(1, has_read))
        with m.Else():
            m.d.sync += has_read.eq(Cat(has_read[0], has_read))
        for number, copy in enumerate(copies):
            m.submodules[f"copy_{number}"] = copy
            for name in ("memory", "address", "chunk", "data", "write"):
                m.d.comb += getattr(copy.config, name).eq(getattr(self.config, name))
            m.d.comb += [copy.address.eq(address), copy.enable.eq(enable)]
        m.d.comb += [
            copies[0].config.read.eq(self.config.read),
            copies[1].config.read.eq(self.config.read & is_own),
            Assert(implies(has_read[1], copies[0].data == copies[1].data)),
        ]
        return m


@pytest.mark.slow
@pytest.mark.parametrize("registered", [False, True])
def test_reads_of_other_memories_do_not_touch_a_memory(registered):
    component = OthersAreNoneOfItsBusiness(registered=registered)
    prove(component, f"other_reads_{registered}", depth=8, sizes=SIZES)


@pytest.mark.parametrize("registered", [False, True])
def test_a_port_that_any_read_takes_is_found(registered):
    component = OthersAreNoneOfItsBusiness(registered=registered, kind=AnyRead)
    refute(component, f"other_reads_{registered}_fault", depth=8)


# STOP -------------------------------------------------------------------------------------------
PHASES = ("STOPPED", "CLEAR", "GRANT", "ACCUMULATE", "UPDATE")


class StopEndsAnyState(Control):
    """From any state, reached or not: in the cycle after STOP the core is as it was configured.

    The induction begins with any contents of all registers; that of the phases is one of them.
    """

    def __init__(self, preset, forgets=None):
        self._forgets = forgets
        super().__init__(params=get_preset(preset))

    def elaborate(self, platform):
        m = super().elaborate(platform)
        names = [
            "n_ends",
            "n_credits",
            "complete",
            "permitted",
            "came",
            "begun",
            "unfired",
            "running",
        ]
        if self._params.model.register:
            names += ["period", "plane"]
        if self._forgets:
            forgotten = inner_signal(m, self._forgets)
            with m.If(self.stop):
                m.d.sync += forgotten.eq(forgotten)
        was_stopped = Signal()
        m.d.sync += was_stopped.eq(self.stop)
        states = [inner_state(m, "phase", name) for name in PHASES]
        m.d.comb += [
            Assume(Cat(states).any()),
            Assert(implies(was_stopped, states[0])),
            *(Assert(implies(was_stopped, inner_signal(m, name) == 0)) for name in names),
            Assert(implies(self.stop, ~self.clear_all)),
        ]
        return m


@pytest.mark.parametrize("preset", ["tiny", "tiny_late"])
def test_stop_ends_any_state(preset):
    sizes = f"preset {preset}"
    prove(StopEndsAnyState(preset), f"stop_{preset}", mode="prove", depth=2, sizes=sizes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["n_ends", "n_credits", "unfired"])
def test_a_stop_that_forgets_is_found(name):
    component = StopEndsAnyState("tiny", forgets=name)
    refute(component, f"stop_forgets_{name}", depth=16)


# The register of errors -------------------------------------------------------------------------
class NothingIsForgotten(ErrorRegister):
    """Causes stay until they are cleared, the count never falls, and one alert is due to each."""

    def __init__(self, fault=None):
        self._fault = fault
        super().__init__(params=SMALL)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        causes, count = inner_signal(m, "causes"), inner_signal(m, "count")
        if self._fault == "causes are replaced":
            with m.If(inner_signal(m, "seen").any()):
                m.d.sync += causes.eq(inner_signal(m, "seen"))
        elif self._fault == "every error is told":
            with m.If(inner_signal(m, "seen").any()):
                m.d.sync += self.alert.eq(1)
        elif self._fault == "the count is that of the last":
            m.d.sync += count.eq(inner_signal(m, "seen").any())
        before, counted = Signal.like(causes), Signal.like(count)
        cleared, alerted = Signal(init=1), Signal()
        m.d.sync += [before.eq(causes), counted.eq(count), cleared.eq(self.clear)]
        with m.If(self.clear):
            m.d.sync += alerted.eq(0)
        with m.Elif(self.alert & self.alerted):
            m.d.sync += alerted.eq(1)
        m.d.comb += [
            Assume(implies(self.alerted, self.alert)),
            Assert(implies(~cleared, (before & ~causes) == 0)),
            Assert(implies(~cleared, counted <= count)),
            Assert(causes.any() == count.any()),
            Assert(causes.any() == (self.alert | alerted)),
            Assert(~(self.alert & alerted)),
        ]
        return m


def test_no_error_is_forgotten_and_each_first_one_is_told():
    prove(NothingIsForgotten(), "error_register", mode="prove", depth=3, sizes="full width")


@pytest.mark.parametrize(
    "fault", ["causes are replaced", "every error is told", "the count is that of the last"]
)
def test_faults_of_the_error_register_are_found(fault):
    component = NothingIsForgotten(fault)
    refute(component, f"error_register_{fault.replace(' ', '_')}", depth=8)
