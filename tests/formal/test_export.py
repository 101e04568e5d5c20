# SPDX-License-Identifier: Apache-2.0
"""The exported Verilog is the gateware: proved register by register on parts of a node."""

import re

import pytest
from amaranth.back import rtlil

from stemcore.folders import results
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core.address_generator import AddressGenerator
from stemcore.hdl.core.configuration import Configuration
from stemcore.hdl.core.error_register import ErrorRegister
from stemcore.hdl.core.flow_control import FlowControl
from stemcore.hdl.core.ingress import Egress, Ingress
from stemcore.hdl.core.memory import ConfigMemory
from stemcore.hdl.core.ranges import Ranges
from stemcore.hdl.export import component_verilog
from stemcore.hdl.modules import port_names
from stemcore.hdl.noc.queue import FlitQueue
from stemcore.hdl.noc.router import Router
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.yosys import run_yosys

TINY = get_preset("tiny")
CASES = {
    "queue_of_registers": lambda: FlitQueue(shape=8, depth=2),
    "queue_of_memory": lambda: FlitQueue(shape=8, depth=4),
    "memory": lambda: ConfigMemory(params=TINY, memory=Memory.AXON),
    "router": lambda: Router(TINY),
    "error_register": lambda: ErrorRegister(params=TINY),
    "flow_control": lambda: FlowControl(params=TINY),
    "ingress": lambda: Ingress(params=TINY),
    "egress": lambda: Egress(params=TINY),
    "configuration": lambda: Configuration(params=TINY),
    "ranges": lambda: Ranges(params=TINY),
    "address_generator": lambda: AddressGenerator(params=TINY),
}
# Registers of both are paired by their names; equiv_induct proves that equal ones stay equal, and
# so do the outputs.
_SCRIPT = """
read_rtlil gold.il
hierarchy -top {name}
proc; flatten; memory; opt_clean
rename {name} gold
design -stash gold
read_verilog gate.v
hierarchy -check -top {name}
check -assert
proc; flatten; memory; opt_clean
rename {name} gate
design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
equiv_make gold gate equiv
hierarchy -top equiv
equiv_struct
equiv_simple
equiv_induct
equiv_status -assert
"""


def proved(name, component, verilog):
    """What Yosys says of the gateware's RTLIL beside ``verilog``; ToolError: not equivalent."""
    folder = results() / "formal" / f"export-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    gold = rtlil.convert(component, name=name, ports=port_names(component), emit_src=False)
    (folder / "gold.il").write_text(gold)
    (folder / "gate.v").write_text(verilog)
    return run_yosys(_SCRIPT.format(name=name), cwd=folder)


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
