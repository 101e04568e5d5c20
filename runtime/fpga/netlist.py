# SPDX-License-Identifier: Apache-2.0
"""A node as a netlist of an FPGA's cells, as it is mapped for a bitstream or a vendor's tool."""

from dataclasses import dataclass
from pathlib import Path

from stemcore.folders import results
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.boards.board import ECP5, Board
from stemcore.hdl.export import node_verilog

from ..toolchain.process import built_once, content_key
from ..toolchain.yosys import run_yosys
from .cell_models import ECP5_CELLS, XC7_CELLS, XCUP_CELLS, CellModels
from .synthesis import CORE, FINISHING, finish_netlist, synth, versions

NODE = "node"


@dataclass(frozen=True)
class Family:
    """Parts of one kind of cell.

    name : of folders
    models : of its cells
    synthesis : Yosys' command that maps a module, without its top; of ECP5 that of bitstreams
    ultra_weights : whether weights lie in UltraRAM
    """

    name: str
    models: CellModels
    synthesis: str | None = None
    ultra_weights: bool = False

    def mapped(self, top: str) -> str:
        """Commands that map one module."""
        return synth(top) if self.synthesis is None else synth(top, self.synthesis)

    @property
    def is_finished(self) -> bool:
        """Whether :func:`.synthesis.finish_netlist` is used, as for a bitstream."""
        return self.synthesis is None


ECP5_FAMILY = Family("ecp5", ECP5_CELLS)
_NO_PADS = "-noiopad -noclkbuf"
_XC7, _XCUP = "-family xc7", "-family xcup -uram"
XC7_FAMILY = Family("xc7", XC7_CELLS, f"synth_xilinx {_XC7} {_NO_PADS}")
XCUP_FAMILY = Family("xcup", XCUP_CELLS, f"synth_xilinx {_XCUP} {_NO_PADS}", ultra_weights=True)
_OF_XILINX = {_XC7: XC7_FAMILY, _XCUP: XCUP_FAMILY}  # by a board's options


def family_of(board: Board) -> Family:
    """The cells of a board's part; ``ValueError`` where there are no models of them."""
    if board.family == ECP5:
        return ECP5_FAMILY
    if board.synthesis in _OF_XILINX:
        return _OF_XILINX[board.synthesis]
    raise ValueError(
        "board: must be of ECP5, of Xilinx' 7 series or of UltraScale+ for a simulation of its "
        f"netlist, got {board.name}: {board.device}, whose cells have no models here"
    )


def _scripts(family: Family) -> tuple[str, str, str]:
    """The core is mapped by itself, as for a bitstream; then it is put into the node."""
    core = f"read_verilog node.v\n{family.mapped(CORE)}\nwrite_rtlil core.il"
    node = f"""read_verilog node.v
blackbox {CORE}
{family.mapped(NODE)}
delete {CORE}
read_rtlil core.il
hierarchy -check -top {NODE}
flatten
opt_clean -purge
write_json node.json"""
    return core, node, "read_json node.json\nwrite_verilog -noattr netlist.v"


def node_netlist(params: ChipParams, family: Family = ECP5_FAMILY) -> Path:
    """``netlist.v``: module ``node`` as cells of ``family``. Kept while nothing changes."""
    out = results() / "netlists"
    out.mkdir(parents=True, exist_ok=True)
    node = node_verilog(params, ultra_weights=family.ultra_weights)
    core_script, node_script, verilog_script = _scripts(family)
    key = content_key(
        FINISHING, node, core_script, node_script, verilog_script, sorted(versions().items())
    )
    with built_once(out, family.name, key) as (folder, empty):
        if empty:
            (folder / "node.v").write_text(node)
            run_yosys(core_script, cwd=folder, name="core")
            run_yosys(node_script, cwd=folder, name="node")
            if family.is_finished:
                finish_netlist(folder / "node.json", NODE)
            run_yosys(verilog_script, cwd=folder, name="verilog")
    return folder / "netlist.v"
