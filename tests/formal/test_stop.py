# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that STOP forgets everything; twins must be refuted. That of control: test_errors.py.

STOP resets the blocks that work on samples. What a reset does not reach, because it has none or is
a memory, must not be seen any more.
"""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core import (
    address_generator,
    axon_in,
    flow_control,
    ingress,
    plane_scan,
    spike_emit,
    spike_queue,
    watchdog,
)
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
    "job": "valid",
    "o": "valid",
}


def same_tables(module):
    """Tables that say anything, but the same in all copies."""
    said = {}

    class SameTable(AnyTable):
        def elaborate(self, platform):
            m = Module()
            name = self._memory
            if name not in said:
                said[name] = (AnySeq(len(self.data)), AnySeq(len(self.read_chunk)))
            m.d.comb += [self.data.eq(said[name][0]), self.read_chunk.eq(said[name][1])]
            return m

    module.ConfigMemory = SameTable
    return module.AxonIn(TINY)


BLOCKS = {
    "spike_queue": (spike_queue, lambda module: module.SpikeQueue(params=TINY)),
    "flow_control": (flow_control, lambda module: module.FlowControl(params=TINY)),
    "axon_in": (axon_in, same_tables),
    "address_generator": (address_generator, lambda module: module.AddressGenerator(TINY)),
    "egress": (ingress, lambda module: module.Egress(params=TINY)),
    "plane_scan": (plane_scan, lambda module: module.PlaneScan(TINY)),
    "spike_emit": (spike_emit, lambda module: module.SpikeEmit(TINY)),
    "watchdog": (watchdog, lambda module: module.Watchdog()),
}


# How the ports of a block are used.
USE = {
    "plane_scan": lambda scan: implies(scan.pop, scan.valid) & implies(scan.start, scan.idle),
}


class NothingIsLeft(wiring.Component):
    """Two copies of a block, in any two states, are alike from the cycle after STOP on.

    From the same inputs they give the same outputs, for as many cycles as were looked at: nothing
    of what was there before is seen.
    """

    def __init__(self, name, *faults):
        self._name = name
        module, make = BLOCKS[name]
        self._copies = [make(copy) for copy in [planted(module, *faults)] * 2]
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
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_stop_leaves_is_found(name):
    refute(NothingIsLeft(name, FAULTS[name]), f"left_{name}_fault", depth=6, any_state=True)
