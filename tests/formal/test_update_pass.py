# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that an update pass sees every spike; each has twins with a fault that must be refuted.

Two steps. The wiring of a core with its real control and ingress, around blocks that keep no more
than their word of ``idle``: a pass starts only when nothing is in any of them. And each block keeps
that word; for the queue of spikes that is part of what test_queues.py proves, for the dendrite of
what test_dendrite.py does.
"""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring

import stemcore.hdl.core.address_generator
import stemcore.hdl.core.axon_in
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import AXON_ROOM
from stemcore.hdl.core.memory import ConfigMemory
from tests.support.bare_core import ROOM, feed_freely, make_bare_core
from tests.support.formal import (
    implies,
    inner_signal,
    inner_state,
    planted,
    prove,
    refute,
)
from tests.support.stand_ins import drive_freely

pytestmark = pytest.mark.sim


# The wiring of a core ---------------------------------------------------------------------------
class EverySpikeIsInThePotentials(wiring.Component):
    """When an update pass starts, every spike that the core has accepted is in the potentials.

    The real wiring, control and ingress, among any flits, commands and waits: none waits in the
    queue of spikes, in axon-in, or as an operation in the dendrite, and none is accepted in that
    cycle or by a core that has all ENDs.
    """

    def __init__(self, preset, **faults):
        self._blocks, self._core = make_bare_core(preset, **faults)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = inner = self._core.elaborate(platform)
        feed_freely(m, self._core)
        control, ingress = inner.submodules.control, inner.submodules.ingress
        holding = [self._blocks[name].inside for name in ("SpikeQueue", "AxonIn", "Dendrite")]
        accepts = ingress.spike.valid & ingress.spike.ready & ingress.keep
        module = self._blocks["Control"].module
        stopped, start = inner_state(module, "phase", "STOPPED"), inner_signal(module, "start")
        phases = ("STOPPED", "CLEAR", "GRANT", "ACCUMULATE", "UPDATE")
        started = Signal()
        m.d.sync += started.eq(control.update_pass)
        m.d.comb += [
            Assert(implies(control.update_pass, sum(holding) == 0)),
            Assert(implies(control.update_pass, ~accepts & ~ingress.end)),
            Assert(implies(control.update_pass, ~started)),
            # For the induction: registers are written in a core that does not work.
            Assert(control.at_work == ((~stopped | start) & ~control.stop)),
            Assert(Cat(inner_state(module, "phase", name) for name in phases).any()),
            Assert(implies(inner_signal(module, "writes").any(), stopped)),
        ]
        return m


@pytest.mark.parametrize("preset", ["tiny", "tiny_late"])
def test_an_update_pass_starts_when_every_accepted_spike_is_in_the_potentials(preset):
    name, sizes = f"update_pass_{preset}", f"preset {preset}, up to {ROOM} spikes a block"
    prove(EverySpikeIsInThePotentials(preset), name, mode="prove", depth=3, sizes=sizes)


FAULTS = {
    "starts before the pipeline is empty": (
        "control_faults",
        ("can_update.eq(tokens.complete & tokens.drained &", "can_update.eq(tokens.complete &"),
    ),
    "starts before all ENDs": (
        "control_faults",
        ("can_update.eq(tokens.complete & tokens.drained &", "can_update.eq(tokens.drained &"),
    ),
    "looks at ENDs and pipeline in different cycles": (
        "control_faults",
        ("complete.eq(all_ends),", "complete.eq(all_ends | self.end),"),
    ),
    "takes spikes after the last END": (
        "control_faults",
        ("self.may_spike.eq(accumulates & ~all_ends)", "self.may_spike.eq(accumulates)"),
    ),
    "forgets the queue of spikes": (
        "core_faults",
        ("control.axon_idle.eq(axon_in.idle & spikes.idle)", "control.axon_idle.eq(axon_in.idle)"),
    ),
    "forgets axon-in": (
        "core_faults",
        ("control.axon_idle.eq(axon_in.idle & spikes.idle)", "control.axon_idle.eq(spikes.idle)"),
    ),
    "forgets the dendrite": (
        "core_faults",
        ("control.dendrite_idle.eq(dendrite.idle)", "control.dendrite_idle.eq(1)"),
    ),
}
CASES = [("tiny", fault) for fault in FAULTS] + [("tiny_late", next(iter(FAULTS)))]


@pytest.mark.parametrize(("preset", "fault"), CASES)
def test_faults_of_the_update_pass_are_found(preset, fault):
    where, change = FAULTS[fault]
    component = EverySpikeIsInThePotentials(preset, **{where: [change]})
    refute(component, f"update_pass_{preset}_{fault.replace(' ', '_')}", depth=16)


# What axon-in says -----------------------------------------------------------------------------
class AnyTable(ConfigMemory):
    """A memory that says anything."""

    def elaborate(self, platform):
        m = Module()
        drive_freely(m, self)
        return m


def make_axon_in(*, axon_in_faults=(), generator_faults=()):
    """The class, with faults, whose tables say anything and whose generator can be looked into."""
    generators = planted(stemcore.hdl.core.address_generator, *generator_faults)
    module = planted(stemcore.hdl.core.axon_in, *axon_in_faults)

    class OpenGenerator(generators.AddressGenerator):
        def __init__(self, params):
            super().__init__(params)
            self.module = super().elaborate(None)

        def elaborate(self, platform):
            return self.module

    module.AddressGenerator, module.ConfigMemory = OpenGenerator, AnyTable
    return module.AxonIn


class AxonInKeepsItsWord(wiring.Component):
    """When axon-in is idle, every spike that it took has issued all its operations, or has none.

    Whatever the tables say, and however spikes come; and its queue never overflows: there is room
    for what is on its way.
    """

    def __init__(self, *, invariants=True, **faults):
        self._invariants = invariants
        self._block = make_axon_in(**faults)(get_preset("tiny"))
        super().__init__({"spike": wiring.In(self._block.i.payload.shape())})

    def elaborate(self, platform):
        m = Module()
        block = self._block
        m.submodules.axon_in = inner = block.elaborate(platform)
        generator = inner.submodules.generator
        names = ("axon_v", "table_v", "sum_v", "room", "popped", "dropped", "push", "pop")
        axon_v, table_v, sum_v, room, popped, dropped, push, pop = (
            inner_signal(inner, name) for name in names
        )
        # Two signals are called nest_v: one says that a loop nest was looked up, one that it runs.
        nest_v, runs = inner_signal(inner, "nest_v"), inner_signal(generator.module, "nest_v")
        change, following_v = (
            inner_signal(generator.module, name) for name in ("change", "following_v")
        )
        queue = inner.submodules.queue
        written, taken = queue.write_ports[0].addr, queue.read_ports[0].addr
        waiting = Signal(range(AXON_ROOM + 1))
        inside = Signal(range(AXON_ROOM + 4))
        accepts = block.i.valid & block.i.ready
        m.d.comb += [
            block.i.valid.eq(AnySeq(1)),
            block.i.payload.eq(self.spike),
            waiting.eq(written - taken),
            Assert(implies(block.idle, (inside == 0) & ~block.op_valid)),
            Assert(implies(push, waiting != AXON_ROOM)),
        ]
        m.d.sync += inside.eq(inside + accepts - (nest_v & ~push) - (runs & change))
        if self._invariants:
            on_the_way = axon_v + table_v + sum_v + nest_v + waiting
            m.d.comb += [
                Assert(AXON_ROOM - room == on_the_way + popped + dropped),
                Assert(inside == on_the_way + following_v + runs),
                Assert(implies(pop, waiting != 0)),
            ]
        return m


def test_axon_in_is_idle_only_when_every_spike_has_issued_its_operations():
    sizes = f"preset tiny, {AXON_ROOM} spikes"
    prove(AxonInKeepsItsWord(), "axon_in_idle", mode="prove", depth=3, sizes=sizes)


AXON_IN_FAULTS = {
    "idle while the generator works": {
        "axon_in_faults": [("(room == AXON_ROOM) & generator.idle", "(room == AXON_ROOM)")]
    },
    "idle with a full queue": {
        "axon_in_faults": [("(room == AXON_ROOM) & generator.idle", "generator.idle")]
    },
    "gives room back twice": {
        "axon_in_faults": [("dropped.eq(nest_v & ~push)", "dropped.eq(nest_v)")]
    },
    "loses what follows": {
        "generator_faults": [("self.i.ready.eq(~following_v | change)", "self.i.ready.eq(1)")]
    },
}


@pytest.mark.parametrize("fault", AXON_IN_FAULTS)
def test_faults_of_axon_in_are_found(fault):
    component = AxonInKeepsItsWord(invariants=False, **AXON_IN_FAULTS[fault])
    refute(component, f"axon_in_idle_{fault.replace(' ', '_')}", depth=26)
