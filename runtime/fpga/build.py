# SPDX-License-Identifier: Apache-2.0
"""Builds a board's bitstream, and says what it takes: report.json, report.html, a table."""

import json
import platform
import shlex
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stemcore.compiler.virtual.chip import chip_places
from stemcore.extras import require_extra
from stemcore.files import write_whole
from stemcore.golden.spec.block_ram import node_blocks
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.uart_frames import BAUD
from stemcore.hdl.boards.board import HOST_MHZ, Board, boards, get_board

from .page import page
from .placement import pack, place_design
from .power_on import power_on_text
from .synthesis import Design, synthesise_design, versions

ROUNDING = 1e-3  # of targets, whose periods are whole picoseconds

Say = Callable[[str], None]


def board_with_pins(name: str) -> Board:
    """The board of a name; ``ValueError`` if there is none, or if it is a part without pins."""
    board = get_board(name)
    if not board.is_buildable:
        named = ", ".join(b.name for b in boards().values() if b.is_buildable)
        raise ValueError(
            f"board: must be one whose pins are known ({named}), got {name}, a part alone; "
            f"`stemcore synth --board {name}` measures a node in it"
        )
    return board


def make_design(
    board_name: str,
    *,
    preset: str | None = None,
    nodes: tuple[int, int] | None = None,
    clock_mhz: float | None = None,
    baud: int = BAUD,
    codec: CodecParams | None = None,
) -> Design:
    """What to build; ``None``: the board's first preset, as many nodes as fit, its clock.

    codec : sizes of the spike codec beside the port, where there is one

    Raises ``ValueError`` for nodes whose memories the part does not have, and
    ``MissingExtraError`` where the packages of the extra ``fpga`` are missing.
    """
    require_extra("fpga", "fpga")
    board = board_with_pins(board_name)
    preset = preset or board.presets[0]
    params = get_preset(preset)
    most = board.max_nodes(params, codec)
    if most < 1:
        raise ValueError(
            f"preset: a node must fit {board.device} with its {board.blocks} block memories, "
            f"{preset} takes {node_blocks(params)}; presets of this board: "
            f"{', '.join(board.presets)}"
        )
    columns, rows = nodes or _full_mesh(most, params, board.name)
    _check_nodes(board, preset, params, columns, rows, most)
    return Design(board, preset, columns, rows, clock_mhz or board.clock_mhz, baud, codec)


def _full_mesh(n_nodes: int, params: ChipParams, name: str) -> tuple[int, int]:
    """Columns and rows: those of a chip on which the cores of a larger network take turns."""
    places = chip_places(n_nodes, params, name)
    return max(x for x, _ in places) + 1, max(y for _, y in places)


def _check_nodes(
    board: Board, preset: str, params: ChipParams, columns: int, rows: int, most: int
) -> None:
    if columns * rows > most:
        raise ValueError(
            f"nodes: {board.device} holds {most} of preset {preset} at most "
            f"({node_blocks(params)} of {board.blocks} block memories each), got {columns}x{rows}; "
            "a network of more cores runs with CORES_ON_CHIP"
        )
    if not 1 <= columns <= params.max_columns or not 1 <= rows <= params.max_rows:
        raise ValueError(
            f"nodes: columns must be 1 to {params.max_columns} and rows 1 to {params.max_rows}, "
            f"got {columns}x{rows}"
        )


def build(
    design: Design,
    seeds: Sequence[int],
    *,
    model: dict[str, Any] | None = None,
    netlist: dict[str, Any] | None = None,
    say: Say,
) -> tuple[dict[str, Any], Path]:
    """Synthesises, places with every seed, and packs the fastest placement that meets the clock.

    model : what is known of the network that is to run on it, for the report
    netlist : what a simulation of the nodes' netlist found, for the report

    Returns the report and its folder; where no placement meets the clock there is no bitstream, and
    ``report["bitstream"]`` is ``None``.
    """
    say(f"synthesis    {design.columns} x {design.rows} nodes of {design.preset}")
    folder, figures = synthesise_design(design)
    placements = []
    for seed in seeds:
        say(f"place        seed {seed} of {', '.join(map(str, seeds))}")
        placements.append(place_design(design, folder, seed))
    report = describe(design, figures, placements, model) | {"netlist": netlist}
    best = report["best_seed"]
    bitstream = folder / f"{design.board.name}.bit"
    bitstream.unlink(missing_ok=True)
    if report["meets_clock"]:
        say(f"pack         seed {best}")
        pack(folder, best, bitstream)
        report["bitstream"] = str(bitstream)
        report["next"] = next_steps(design, bitstream, model)
    write_whole(folder / "report.json", json.dumps(report, indent=2) + "\n")
    write_whole(folder / "report.html", page(report))
    return report, folder


def run_command(design: Design, model: dict[str, Any] | None) -> str:
    """What runs a network on a board that has a serial line and holds the design."""
    nodes = design.columns * design.rows
    name = model["model"] if model else "digits_cnn"
    words = f"MODEL={shlex.quote(name)} PRESET={design.preset}"
    if model and model["dataset"]:
        words += f" DATASET={shlex.quote(model['dataset'])}"
    if model is None or model["cores"] > nodes:
        words += f" CORES_ON_CHIP={nodes}"
    else:
        words += f" MESH={design.columns}x{design.rows}"
    speed = "" if design.baud == BAUD else f"@{design.baud}"  # what is meant without it
    return f"make sim {words} SIM=fpga PORT=/dev/ttyUSB0{speed}"


def next_steps(design: Design, bitstream: Path, model: dict[str, Any] | None) -> list[str]:
    """What the user types next."""
    load = f"{design.board.loader} {shlex.quote(str(bitstream))}"
    return [load, run_command(design, model)]


def describe(
    design: Design,
    figures: dict[str, Any],
    placements: Sequence[dict[str, Any]],
    model: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The report: what was built, and what synthesis and placements found."""
    reached = [
        min(mhz / placement["target_mhz"][clock] for clock, mhz in placement["fmax_mhz"].items())
        for placement in placements
    ]
    best = max(range(len(reached)), key=reached.__getitem__)
    placed = placements[best]
    board = design.board
    return {
        "board": board.name,
        "title": board.title,
        "device": board.device,
        "preset": design.preset,
        "nodes": [design.columns, design.rows],
        "lanes": design.params.lanes,
        "clock_mhz": figures["clock_mhz"],
        "baud": HOST_MHZ * 1e6 / figures["divisor"],
        "cells": figures["cells"],
        "block_registers": figures["block_registers"],
        "copies": figures["copies"],
        "device_use": placed["device_use"],
        "fmax_mhz": {
            clock: {
                "minimum": min(values),
                "median": round(statistics.median(values), 2),
                "maximum": max(values),
                "target": placed["target_mhz"][clock],
                "by_seed": {
                    str(p["seed"]): value for p, value in zip(placements, values, strict=True)
                },
            }
            for clock in placed["fmax_mhz"]
            for values in [[p["fmax_mhz"][clock] for p in placements]]
        },
        "best_seed": placed["seed"],
        "meets_clock": reached[best] >= 1 - ROUNDING,
        "worst_paths": placed["worst_paths"],
        "critical_paths": placed["critical_paths"],
        "power_on": figures["power_on"],
        "bitstream": None,
        "next": [],
        "model": model,
        "seconds": {
            "synthesis": figures["yosys_s"],
            "placements": [p["nextpnr_s"] for p in placements],
        },
        "commands": {
            "yosys": figures["yosys_command"],
            "nextpnr": placed["nextpnr_command"],
        },
        "versions": versions(),
        "machine": platform.machine(),
    }


def table(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    cells, use = report["cells"], report["device_use"]
    registers = report["block_registers"]
    columns, rows = report["nodes"]

    def share(name: str) -> str:
        found = use.get(name)
        return f" ({found['used']:,} of {found['available']:,} sites)" if found else ""

    lines = [
        f"board        {report['title']}: {report['device']}",
        f"chip         {columns} x {rows} nodes of {report['preset']}, {report['lanes']} lanes",
        f"LUT4         {cells['LUT4']:,} and {cells['CCU2C']:,} carry pairs"
        + share("TRELLIS_COMB"),
        f"flip-flops   {cells['TRELLIS_FF']:,}" + share("TRELLIS_FF"),
        f"copies       {report['copies']:,} of these are made again, for what many cells read",
        f"DP16KD       {cells['DP16KD']:,}, {registers['memories']:,} with their "
        "output register" + share("DP16KD"),
        f"MULT18X18D   {cells['MULT18X18D']:,}, {registers['products']:,} with their output "
        f"register, {registers['factors']:,} with those of their factors" + share("MULT18X18D"),
    ]
    for clock, found in report["fmax_mhz"].items():
        spread = f"{found['minimum']:.1f} / {found['median']:.1f} / {found['maximum']:.1f} MHz"
        seeds = len(found["by_seed"])
        lines.append(
            f"Fmax         {clock}: {spread} (minimum, median, maximum of {seeds} seeds), "
            f"{found['target']:g} MHz asked for"
        )
    lines.append(f"clock        {report['clock_mhz']:g} MHz, line of {report['baud']:,.0f} baud")
    for clock in report["fmax_mhz"]:
        lines.append(f"latest       of {clock}: delay, at, through the last cell of")
        lines += [
            f"             {path['delay_ns']:6.2f} ns  {path['to']}, {path['through']}"
            for path in report["worst_paths"]
            if path["clock"] == clock
        ]
    lines.append(f"power-on     {power_on_text(report['power_on'])}")
    return "\n".join(lines)
