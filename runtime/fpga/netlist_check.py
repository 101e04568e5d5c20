# SPDX-License-Identifier: Apache-2.0
"""A chip whose nodes are netlists, in the place of the chip's RTL: every flit in its cycle."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.virtual.chip import VirtualChip
from stemcore.folders import results
from stemcore.golden.program.program import Program
from stemcore.hdl.export import TIMESCALE

from ..engines.engine import ProgramEngine, RunOptions
from ..engines.program import Program as ProgramReference
from ..engines.result import RunResult
from ..engines.virtual import run_virtual
from ..errors import EngineError
from ..host.verilog_bench import SOURCES, run_bench_verilog, write_bench
from ..toolchain.process import Simulator, ToolError
from .netlist import Family, node_netlist

Say = Callable[[str], None]


@dataclass(frozen=True)
class Agreement:
    """What a netlist and its RTL did alike.

    flits : that cores sent, and that came out of the chip; all equal, each in its cycle
    cycles : until the last of them
    """

    flits: int
    cycles: int


def check_netlist(
    folder: Path,
    netlist: Path,
    family: Family,
    simulator: Simulator,
    say: Say = lambda line: None,
) -> Agreement:
    """Runs the bench of ``folder`` (``write_bench``'s) on RTL and on ``netlist``.

    Raises ``EngineError`` with the first flit that differs between the two, or comes in another
    cycle; ``ToolError`` where a simulator fails otherwise, or an output of the RTL is wrong.
    """
    say("simulate     the RTL")
    run_bench_verilog(folder, simulator, flits="rtl.flits")
    say("simulate     the netlist")
    cells = folder / "cells.v"
    cells.write_text(TIMESCALE + family.models.verilog())
    sources = [folder / name for name in SOURCES if name != "node.v"]
    sources += [netlist, cells]
    files = folder / "rtl.flits", folder / "netlist.flits"
    files[1].unlink(missing_ok=True)
    try:
        run_bench_verilog(folder, simulator, sources=sources, flits=files[1].name)
    except ToolError:
        if files[1].exists():  # the bench has begun: the first difference says more than its end
            compare_flits(*files)
        raise
    return compare_flits(*files)


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


class _OnNetlist(ProgramEngine):
    """The program engine, whose every run is also one of the RTL and of the netlist."""

    name: ClassVar[str] = "netlist"
    summary: ClassVar[str] = "a chip of netlists beside its RTL"

    def __init__(
        self,
        family: Family,
        simulator: Simulator,
        folder: Path,
        groups: Collection[int] | None,
        say: Say,
    ) -> None:
        self._family, self._simulator, self._say = family, simulator, say
        self._folder, self._reference, self._groups = folder, ProgramReference(), groups
        self._runs = 0
        self.agreements: list[Agreement] = []

    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine."""
        ran = self._reference.run(program, images, options=options)
        group, self._runs = self._runs, self._runs + 1
        if self._groups is not None and group not in self._groups:
            return ran
        folder = write_bench(program, images, self._folder / f"group-{group}", expected=ran.outputs)
        netlist = node_netlist(program.params, self._family)

        def say(line: str) -> None:
            self._say(f"{line}, {program.columns} x {program.rows} nodes, group {group}")

        self.agreements.append(check_netlist(folder, netlist, self._family, self._simulator, say))
        return ran


def simulate_netlist(
    chip: Program | VirtualChip,
    images: NDArray[np.integer],
    family: Family,
    *,
    expected: NDArray[np.integer],
    name: str,
    simulator: Simulator = "icarus",
    groups: Collection[int] | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Runs ``images`` (N, C, H, W) on a chip of netlists, group after group where cores take turns.

    expected : the network's outputs, as golden computes them
    name : of the folder below ``sim_build/netlist-runs``
    groups : of cores that are simulated, from 0 on; None: all, for every batch of images

    Returns figures for a report. Raises ``ToolError`` or ``EngineError`` where anything is not as
    it must be: outputs, or a flit, or its cycle.
    """
    started = time.perf_counter()
    folder = results() / "netlist-runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    engine = _OnNetlist(family, simulator, folder, groups, say)
    if isinstance(chip, VirtualChip):
        ran = run_virtual(engine, chip, images, options=RunOptions())
    else:
        ran = engine.run(chip, images, options=RunOptions())
    if not np.array_equal(ran.outputs, expected):
        raise EngineError(f"netlist: outputs must be those of golden; they differ: {folder}")
    return {
        "cells": family.name,
        "images": len(images),
        "groups": len(engine.agreements),
        "flits": sum(agreement.flits for agreement in engine.agreements),
        "cycles": sum(agreement.cycles for agreement in engine.agreements),
        "seconds": round(time.perf_counter() - started, 1),
    }
