# SPDX-License-Identifier: Apache-2.0
"""The outside programs, behind functions that build once and fail with the program's own words.

``verilator``, ``icarus``, ``yosys`` (with SymbiYosys) and ``bench`` (cocotb) are imported by name:
no caller needs all of them.
"""

from .process import ToolError

__all__ = ["ToolError"]
