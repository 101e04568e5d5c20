# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that counters never miss an event; each has twins with a fault that must be refuted."""

import pytest
from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring

import stemcore.hdl.node
from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control as Register
from tests.support.bare_core import feed_freely, make_bare_core
from tests.support.formal import implies, inner_signal, planted, prove, refute
from tests.support.stand_ins import free

pytestmark = pytest.mark.sim


class EveryEventIsCounted(wiring.Component):
    """Each counter is the sum of its events since it was cleared, at full width, as it is read.

    Events are taken where they happen: spikes at the entry of the queue, operations between axon-in
    and dendrite, the states of soma and axon-out. Only a spike that comes with STOP is forgotten.
    The flag of overflow stays until it is cleared.
    """

    def __init__(self, **faults):
        self._blocks, self._core = make_bare_core("tiny", **faults)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = inner = self._core.elaborate(platform)
        feed_freely(m, self._core)
        blocks, ingress = self._blocks, inner.submodules.ingress
        control, axon_in, axon_out = (blocks[name] for name in ("Control", "AxonIn", "AxonOut"))
        module = control.module
        clear, came, was_stalled, running = (
            inner_signal(module, name)
            for name in ("clear_counters", "came", "was_stalled", "running")
        )
        accepts = ingress.spike.valid & ingress.spike.ready & ingress.keep & ~control.stop
        events = {
            Register.SPIKES_OUT: axon_out.sent,
            Register.FIRED: axon_out.fired,
            Register.BUSY: axon_in.op_valid,
            Register.UPDATE_CYCLES: blocks["Soma"].busy & running,
            Register.FIRE_CYCLES: axon_out.busy & running,
            Register.SAMPLES: control.update_pass,
            Register.HOPS: self._core.hops,
        }
        shown = {}
        for register, event in events.items():
            name = register.name.lower()
            shown[register] = total = Signal(32, name=f"total_{name}")
            m.d.sync += total.eq(Mux(clear, 0, total + event))
            m.d.comb += Assert(inner_signal(module, name) == total)
        spikes, stalls = Signal(32), Signal(32)
        operations, overflow = Signal(48), Signal()
        m.d.sync += [
            spikes.eq(Mux(clear, 0, spikes) + accepts),
            stalls.eq(Mux(clear, 0, stalls + axon_in.stalled)),
            operations.eq(operations + Mux(axon_in.op_valid, axon_in.op.n_lanes + 1, 0)),
            overflow.eq(~clear & (overflow | blocks["Dendrite"].overflow)),
        ]
        with m.If(clear):
            m.d.sync += operations.eq(0)
        m.d.comb += [
            Assert((inner_signal(module, "spikes_in") + came)[:32] == spikes),
            Assert((inner_signal(module, "stalled") + was_stalled)[:32] == stalls),
            Assert(inner_signal(module, "sops") == operations),
            Assert(inner_signal(module, "overflow") == overflow),
        ]
        shown |= {
            Register.SPIKES_IN: (spikes - came)[:32],
            Register.STALLED: (stalls - was_stalled)[:32],
            Register.SOPS_LOW: operations[:32],
            Register.SOPS_HIGH: operations[32:],
            Register.FLAGS: Cat(overflow, running),
        }
        self._read(m, control, shown)
        return m

    @staticmethod
    def _read(m, control, shown):
        """A read of the bus shows, four cycles later, what the register was two cycles after it."""
        bus, asked, before, reads = control.config, Signal(), Signal(), Signal()
        addressed = Signal()
        first, address = Signal(16), Signal(16)
        found, expected = Signal(32), Signal(32)
        m.d.sync += [
            addressed.eq(bus.read & (bus.memory == Memory.CONTROL.value)),
            asked.eq(addressed),
            before.eq(asked),
            reads.eq(before),
            first.eq(bus.address),
            address.eq(first),
            expected.eq(found),
        ]
        with m.Switch(bus.address):
            for register, value in shown.items():
                with m.Case(register.value):
                    m.d.sync += found.eq(value)
        is_counter = Cat(address == register.value for register in shown).any()
        m.d.comb += Assert(implies(reads & is_counter, control.read_chunk == expected))


def test_every_event_is_counted():
    component = EveryEventIsCounted()
    prove(component, "counters", mode="prove", depth=4, sizes="full width, preset tiny")


FAULTS = {
    "one of two spikes": {
        "control_faults": [("offered.eq(self.spike_in)", "offered.eq(self.spike_in & ~came)")]
    },
    "all but one of a cycle": {
        "counter_faults": [("counters[register] + event", "counters[register] + 1")]
    },
    "one event hides another": {
        "counter_faults": [("    with m.If(event):", "    with m.Elif(event):")]
    },
    "a lane of each operation": {"counter_faults": [("sops + op_lanes + 1", "sops + op_lanes")]},
    "a narrow sum of operations": {
        "control_faults": [("op_lanes=self.op_lanes", "op_lanes=self.op_lanes[:1]")]
    },
    "more than one hop": {
        "core_faults": [("control.hops.eq(self.hops)", "control.hops.eq(self.hops != 0)")]
    },
    "overflow beside an operation": {
        "control_faults": [
            ("with m.If(self.overflow):", "with m.If(self.overflow & ~self.op_valid):")
        ]
    },
    "reads of another register": {
        "counter_faults": [("SOPS_LOW: sops[:CHUNK_WIDTH]", "SOPS_LOW: sops[CHUNK_WIDTH:]")],
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_counters_are_found(fault):
    refute(EveryEventIsCounted(**FAULTS[fault]), f"counters_{fault.replace(' ', '_')}", depth=14)


# Hops -------------------------------------------------------------------------------------------
class EveryHopIsTold(wiring.Component):
    """What a node tells its core of hops is the number of spikes its links took a cycle before.

    And every flit that is dropped, at an edge or because it goes nowhere, is told as an error.
    """

    def __init__(self, *faults):
        module = planted(stemcore.hdl.node, *faults)
        module.Router, module.Core = free(module.Router), free(module.Core)
        self._node = module.Node(params=get_preset("tiny"))
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        node = self._node
        m.submodules.node = inner = node.elaborate(platform)
        feed_freely(m, node)
        core, router = inner.submodules.core, inner.submodules.router
        taken, dropped = [], Const(0)
        for port, link in enumerate(node.o):
            taken.append(link.valid & link.ready & (link.payload.kind == Kind.SPIKE.value))
            dropped |= link.valid & node.edges[port]
        hops, stray = Signal(3), Signal()
        m.d.sync += [hops.eq(sum(taken)), stray.eq(dropped | router.vanishes)]
        m.d.comb += [Assert(core.hops == hops), Assert(core.stray == stray)]
        return m


def test_every_hop_is_told():
    prove(EveryHopIsTold(), "hops", mode="prove", depth=2, sizes="preset tiny")


HOP_FAULTS = {
    "counts what waits": (
        "link.valid & link.ready & (link.payload.kind",
        "link.valid & (link.payload.kind",
    ),
    "counts one a cycle": ("core.hops.eq(sum(hops))", "core.hops.eq(hops.any())"),
    "drops in silence": ("| router.vanishes", "| 0"),
}


@pytest.mark.parametrize("fault", HOP_FAULTS)
def test_faults_of_hops_are_found(fault):
    refute(EveryHopIsTold(HOP_FAULTS[fault]), f"hops_{fault.replace(' ', '_')}", depth=4)
