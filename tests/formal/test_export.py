# SPDX-License-Identifier: Apache-2.0
"""The exported Verilog is the gateware: proved register by register on parts of a node."""

import re

import pytest
from amaranth.back import rtlil

from stemcore.folders import results
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core.address_generator import AddressGenerator
from stemcore.hdl.core.axon_in import AxonIn
from stemcore.hdl.core.axon_out import AxonOut
from stemcore.hdl.core.configuration import Configuration
from stemcore.hdl.core.control import Control
from stemcore.hdl.core.dendrite import Dendrite
from stemcore.hdl.core.error_register import ErrorRegister
from stemcore.hdl.core.flow_control import FlowControl
from stemcore.hdl.core.ingress import Egress, EntryQueue, FlitCheck, Ingress
from stemcore.hdl.core.memory import ConfigMemory
from stemcore.hdl.core.neurons.late import LateUpdate
from stemcore.hdl.core.neurons.scaled import ScaledUpdate
from stemcore.hdl.core.plane_scan import PlaneScan
from stemcore.hdl.core.ranges import Ranges
from stemcore.hdl.core.requantize import Requantize
from stemcore.hdl.core.spike_emit import SpikeEmit
from stemcore.hdl.core.spike_queue import SpikeQueue
from stemcore.hdl.export import component_verilog
from stemcore.hdl.modules import port_names
from stemcore.hdl.noc.queue import FlitQueue
from stemcore.hdl.noc.router import Router
from stemcore.runtime.toolchain import ToolError
from tests.support.equivalence import GATE, GOLD, prove_equivalent

TINY = get_preset("tiny")
# Memories of a few words, which the prover sees as registers.
SMALL = TINY.with_(
    n_acc_words=4,
    n_weight_words=4,
    n_fire_words=4,
    n_destinations=4,
    n_axons=2,
    n_table_c=4,
    n_table_y=4,
    n_table_x=4,
    n_blocks=2,
    coord_width=2,
    c_width=3,
    y_width=1,
    x_width=1,
)
CASES = {
    "queue_of_registers": lambda: FlitQueue(shape=8, depth=2),
    "queue_of_memory": lambda: FlitQueue(shape=8, depth=4),
    "memory": lambda: ConfigMemory(params=TINY, memory=Memory.AXON),
    "router": lambda: Router(TINY),
    "error_register": lambda: ErrorRegister(params=TINY),
    "flow_control": lambda: FlowControl(params=TINY),
    "entry": lambda: EntryQueue(params=TINY),
    "check": lambda: FlitCheck(params=TINY),
    "ingress": lambda: Ingress(params=TINY),
    "egress": lambda: Egress(params=TINY),
    "configuration": lambda: Configuration(params=TINY),
    "ranges": lambda: Ranges(params=TINY),
    "address_generator": lambda: AddressGenerator(params=TINY),
    "spike_queue": lambda: SpikeQueue(params=TINY),
    "control": lambda: Control(params=TINY),
    "plane_scan": lambda: PlaneScan(SMALL),
    "spike_emit": lambda: SpikeEmit(SMALL),
    "axon_out": lambda: AxonOut(SMALL),
    "axon_in": lambda: AxonIn(SMALL),
    "dendrite": lambda: Dendrite(SMALL),
    "requantize": lambda: Requantize(SMALL.with_(soma_lanes=1)),
    "scaled_update": lambda: ScaledUpdate(SMALL.with_(acc_width=16, integration="scaled")),
    "late_update": lambda: LateUpdate(SMALL.with_(acc_width=16, integration="late")),
}


def proved(name, component, verilog):
    """What Yosys says of the gateware's RTLIL beside ``verilog``; ToolError: not equivalent."""
    folder = results() / "formal" / f"export-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    gold = rtlil.convert(component, name=name, ports=port_names(component), emit_src=False)
    (folder / GOLD).write_text(gold)
    (folder / GATE).write_text(verilog)
    return prove_equivalent(name, folder)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_exported_verilog_is_equivalent_to_the_gateware(name):
    verilog = component_verilog(CASES[name](), name=name)
    assert "Equivalence successfully proven!" in proved(name, CASES[name](), verilog)


@pytest.mark.sim
@pytest.mark.slow
def test_a_difference_in_one_gate_is_found():
    verilog = component_verilog(CASES["router"](), name="router")
    text, count = re.subn(r"(?m)^(  assign \w+ = \w+) & (\w+;)$", r"\1 | \2", verilog, count=1)
    assert count == 1
    with pytest.raises(ToolError, match=r"unproven \$equiv cells"):
        proved("router", CASES["router"](), text)
