# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that STOP forgets everything; twins must be refuted. That of control: test_errors.py.

STOP resets the blocks that work on samples. What a reset does not reach, because it has none or is
a memory, must not be seen any more.
"""

from collections import Counter

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core import (
    accumulate,
    address_generator,
    axon_in,
    axon_out,
    dendrite,
    flow_control,
    ingress,
    plane_scan,
    requantize,
    soma,
    spike_emit,
    spike_queue,
    watchdog,
)
from stemcore.hdl.core.potential_update import NoUpdate
from tests.formal.test_update_pass import AnyTable
from tests.support.formal import implies, planted, prove, refute

pytestmark = pytest.mark.sim

TINY = get_preset("tiny").with_(n_spikes=4, n_fire_words=4)
# Outputs that say something only while another one is set.
WHEN = {
    "payload": "valid",
    "op": "op_valid",
    "plane": "valid",
    "borrow_address": "borrow",
    "fire_address": "fire_enable",
    "job": "valid",
    "o": "valid",
    "accumulators_address": "accumulators_read",
    "accumulators_clear_address": "accumulators_clear",
    "accumulators_data": "accumulators_read",
    "words_address": "words_valid",
    "words_word": "words_valid",
}


def same_tables(*modules):
    """Gives all ``modules`` tables that say anything, but the same in both copies of a block."""
    said, seen = {}, Counter()

    class SameTable(AnyTable):
        def elaborate(self, platform):
            m = Module()
            # Copies are elaborated one after the other; every lane of a soma has a lookup table.
            n = TINY.soma_lanes if self._memory is Memory.LOOKUP else 1
            name = self._memory, seen[self._memory] % n
            seen[self._memory] += 1
            if name not in said:
                said[name] = (AnySeq(len(self.data)), AnySeq(len(self.read_chunk)))
            m.d.comb += [self.data.eq(said[name][0]), self.read_chunk.eq(said[name][1])]
            return m

    for module in modules:
        module.ConfigMemory = SameTable


def make_axon_in(module):
    same_tables(module)
    return module.AxonIn(TINY)


def make_axon_out(module):
    same_tables(module)
    return module.AxonOut(TINY)


def make_dendrite(module, loops):
    same_tables(module)
    module.AccumulateLoop = loops.AccumulateLoop
    return module.Dendrite(TINY)


def make_soma(module, requantizers):
    same_tables(module, requantizers)
    module.Requantize = requantizers.Requantize
    return module.Soma(TINY, update=NoUpdate)


BLOCKS = {
    "spike_queue": (spike_queue, lambda module: module.SpikeQueue(params=TINY)),
    "flow_control": (flow_control, lambda module: module.FlowControl(params=TINY)),
    "axon_in": (axon_in, make_axon_in),
    "address_generator": (address_generator, lambda module: module.AddressGenerator(TINY)),
    "dendrite": (dendrite, make_dendrite),
    "soma": (soma, make_soma),
    "axon_out": (axon_out, make_axon_out),
    "egress": (ingress, lambda module: module.Egress(params=TINY)),
    "plane_scan": (plane_scan, lambda module: module.PlaneScan(TINY)),
    "spike_emit": (spike_emit, lambda module: module.SpikeEmit(TINY)),
    "watchdog": (watchdog, lambda module: module.Watchdog()),
}
# Of a block that has a part in a file of its own, which may be at fault.
PARTS = {"dendrite": accumulate, "soma": requantize}


# How the ports of a block are used. After STOP a soma zeroes all accumulators, before an operation
# or an update pass comes: as many cycles as there are words.
USE = {
    "dendrite": lambda dendrite: ~dendrite.op_valid & ~dendrite.accumulators.read,
    "soma": lambda soma: implies(soma.start | soma.clear_all, ~soma.busy),
    "plane_scan": lambda scan: implies(scan.pop, scan.valid) & implies(scan.start, scan.idle),
}


class NothingIsLeft(wiring.Component):
    """Two copies of a block, in any two states, are alike from the cycle after STOP on.

    From the same inputs they give the same outputs, for as many cycles as were looked at: nothing
    of what was there before is seen.
    """

    def __init__(self, name, *faults, part_faults=()):
        self._name = name
        module, make = BLOCKS[name]
        modules = [planted(module, *faults)]
        if name in PARTS:
            modules.append(planted(PARTS[name], *part_faults))
        self._copies = [make(*modules) for _ in range(2)]
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        stop, is_over = Signal(), Signal(name="over_initial")
        m.d.sync += is_over.eq(1)
        m.d.comb += stop.eq(~is_over)
        m.submodules += [ResetInserter(stop)(copy) for copy in self._copies]
        first, second = (
            {"_".join(map(str, path)): (member, Value.cast(value)) for path, member, value in flat}
            for flat in (copy.signature.flatten(copy) for copy in self._copies)
        )
        for name, (member, value) in first.items():
            other = second[name][1]
            if member.flow is Flow.In:
                chosen = AnySeq(len(value))
                m.d.comb += [value.eq(chosen), other.eq(chosen)]
                continue
            stem, _, last = name.rpartition("_")
            enable = WHEN.get(name) or (WHEN.get(last) and f"{stem}_{WHEN[last]}")
            is_said = first[enable][1] if enable else 1
            m.d.comb += Assert(implies(is_over & is_said, value == other))
        if self._name in USE:
            m.d.comb += [Assume(USE[self._name](copy)) for copy in self._copies]
        return m


@pytest.mark.parametrize("name", BLOCKS)
def test_nothing_is_left_after_stop(name):
    sizes = f"{name}, preset tiny, queues of 4"
    prove(NothingIsLeft(name), f"left_{name}", depth=6, any_state=True, sizes=sizes)


FAULTS = {
    "axon_in": ("init=AXON_ROOM)", "init=AXON_ROOM, reset_less=True)"),
    "spike_emit": ("lane_v = Signal()", "lane_v = Signal(reset_less=True)"),
    "flow_control": ("has_asked = Signal()", "has_asked = Signal(reset_less=True)"),
    "plane_scan": ("scanning = Signal()", "scanning = Signal(reset_less=True)"),
    "address_generator": ("following_v = Signal()", "following_v = Signal(reset_less=True)"),
    "soma": ("fetched = Signal()", "fetched = Signal(reset_less=True)"),
    "axon_out": ("expand_v = Signal()", "expand_v = Signal(reset_less=True)"),
}
# Requantization is not among them: what passes it is kept only where the soma still waits for it.
PART_FAULTS = {
    "dendrite": ('Signal(name=f"valid_{stage}")', 'Signal(name=f"valid_{stage}", reset_less=True)'),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_stop_leaves_is_found(name):
    faulty = NothingIsLeft(name, FAULTS[name])
    refute(faulty, f"left_{name}_fault", depth=6, any_state=True)


@pytest.mark.parametrize("name", PART_FAULTS)
def test_what_stop_leaves_in_a_part_is_found(name):
    faulty = NothingIsLeft(name, part_faults=[PART_FAULTS[name]])
    refute(faulty, f"left_{name}_part_fault", depth=6, any_state=True)
