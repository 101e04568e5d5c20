# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The wiring of a core for proofs: control, ingress and egress are real, all else does as it likes.

What a stand-in may not do is what the proofs of the block in its place show that it never does.
"""

import types
from collections.abc import Mapping, Sequence

from amaranth.asserts import AnySeq
from amaranth.hdl import Assume, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

import stemcore.hdl.core.control
import stemcore.hdl.core.core
import stemcore.hdl.core.counters
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control as Register
from stemcore.hdl.core.ingress import FlitCheck
from stemcore.hdl.core.soma_signature import SomaSignature

from .formal import implies, planted
from .stand_ins import drive_freely, free

ROOM = 3  # spikes, or operations, that a stand-in holds
FREE = ("AxonOut", "FlowControl", "Ranges", "ErrorRegister", "Watchdog", "FlitQueue")


class FreeSoma(wiring.Component):
    """The ports of a soma; does anything at any time."""

    def __init__(self, params):
        super().__init__(SomaSignature(params))

    def elaborate(self, platform):
        m = Module()
        drive_freely(m, self)
        m.d.sync += Signal(name="clocked").eq(1)
        return m


def feed_freely(m: Module, component: wiring.Component) -> None:
    """Every input of ``component``, a submodule of ``m``, is the solver's in every cycle."""
    for _, member, value in component.signature.flatten(component):
        if member.flow is Flow.In:
            value = Value.cast(value)
            m.d.comb += value.eq(AnySeq(len(value)))


def make_bare_core(
    preset: str,
    *,
    core_faults: Sequence[tuple[str, str]] = (),
    control_faults: Sequence[tuple[str, str]] = (),
    counter_faults: Sequence[tuple[str, str]] = (),
    put: Mapping[str, type] | None = None,
) -> tuple[dict[str, wiring.Component], wiring.Component]:
    """The blocks of a core of ``preset`` by the name of their class, and the core around them.

    Faults are changes of core.py, control.py and counters.py, as in ``planted``. ``put`` has
    classes of blocks, by name, that are taken instead. A stand-in that holds something says how
    much with ``inside``; of several queues of flits, the one behind axon-out is told.
    """
    blocks: dict[str, wiring.Component] = {}
    core = planted(stemcore.hdl.core.core, *core_faults)
    control = planted(stemcore.hdl.core.control, *control_faults)
    control.add_counters = planted(stemcore.hdl.core.counters, *counter_faults).add_counters

    class OpenControl(control.Control):
        def __init__(self, *, params):
            super().__init__(params=params)
            self.module = super().elaborate(None)

        def elaborate(self, platform):
            return self.module

    stand_ins = _holding(core) | {name: free(getattr(core, name)) for name in FREE}
    for name, kind in (stand_ins | dict(put or {})).items():
        setattr(core, name, _noted(kind, name, blocks))
    core.make_soma = _noted(FreeSoma, "Soma", blocks)
    core.Control = _noted(OpenControl, "Control", blocks)
    return blocks, core.Core(params=get_preset(preset))


def _noted(kind, name, blocks):
    """``kind``, whose last instance is put into ``blocks``."""

    class Noted(kind):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            blocks[name] = self

    return Noted


def _holding(core: types.ModuleType) -> dict[str, type]:
    """Stand-ins that say how many spikes or operations they hold, and for the configuration."""

    class Holds:
        """Holds up to ``ROOM`` items, none after a reset; drives all outputs freely but ``but``."""

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.inside = Signal(range(ROOM + 1))

        def hold(self, enters, leaves, but=()):
            m = Module()
            drive_freely(m, self, but)
            m.d.comb += [
                Assume(implies(enters, self.inside != ROOM)),
                Assume(implies(leaves, self.inside != 0)),
            ]
            m.d.sync += self.inside.eq(self.inside + enters - leaves)
            return m

    class SpikeQueue(Holds, core.SpikeQueue):
        """Takes and gives spikes at any time; idle says that none is here."""

        def elaborate(self, platform):
            enters = self.i.valid & self.i.ready & self.keep
            leaves = self.o.valid & self.o.ready
            m = self.hold(enters, leaves, but=("idle",))
            m.d.comb += self.idle.eq(self.inside == 0)
            return m

    class AxonIn(Holds, core.AxonIn):
        """Issues any number of operations while a spike is here; idle only when none is."""

        def elaborate(self, platform):
            m = self.hold(self.i.valid & self.i.ready, AnySeq(1))
            m.d.comb += [
                Assume(implies(self.op_valid, self.inside != 0)),
                Assume(implies(self.idle, self.inside == 0)),
            ]
            return m

    class Dendrite(Holds, core.Dendrite):
        """Writes operations at any time; idle only when all that entered have been written."""

        def elaborate(self, platform):
            m = self.hold(self.op_valid, AnySeq(1))
            m.d.comb += Assume(implies(self.idle, self.inside == 0))
            return m

    class Configuration(core.Configuration):
        """Writes anything anywhere while the core is stopped, commands alone while it runs."""

        def elaborate(self, platform):
            m = Module()
            drive_freely(m, self)
            bus = self.bus
            is_control = bus.memory == Memory.CONTROL.value
            commands = bus.commands.as_value().any()
            # The address comes in the cycle after.
            is_bound = Signal()
            m.d.sync += is_bound.eq((bus.write & self.at_work) | commands)
            m.d.comb += [
                Assume(implies(bus.write & self.at_work, is_control)),
                Assume(implies(commands, bus.write & is_control)),
                Assume(implies(is_bound, bus.address == Register.COMMAND.value)),
            ]
            return m

    class EntryQueue(core.EntryQueue):
        """Gives any flits at any time, and says what they are."""

        def elaborate(self, platform):
            m = Module()
            drive_freely(m, self, but=("verdict",))
            m.submodules.check = check = FlitCheck(params=self._params)
            m.d.comb += [
                check.kind.eq(self.o.payload.kind),
                check.payload.eq(self.o.payload.payload),
                self.verdict.eq(check.verdict),
                Assume(implies(self.idle, ~self.o.valid)),
            ]
            return m

    kinds = (SpikeQueue, AxonIn, Dendrite, Configuration, EntryQueue)
    return {kind.__name__: kind for kind in kinds}
