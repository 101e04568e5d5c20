# SPDX-License-Identifier: Apache-2.0
"""One call over all engines that execute a program.

An engine is imported when it runs: gateware and its tools take half a second to load.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.folders import engines
from stemcore.golden.program.program import Program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.routing import Node

from .result import RunResult

ENGINES = ("verilator", "amaranth", "program", "golden")
Progress = Callable[[int, int], None]


def run_engine(
    engine: str,
    program: Program,
    images: NDArray[np.integer],
    *,
    out_dir: Path | None = None,
    progress: Progress | None = None,
    waves_dir: Path | None = None,
    waves_nodes: Sequence[Node] | None = None,
    threads: int | None = None,
) -> RunResult:
    """Run ``images`` (N, C, H, W) of input integers through ``program``.

    engine : "verilator" (cycle-accurate), "amaranth" or "program"
    out_dir : keeps the builds of "verilator"; None: the user's cache
    waves_dir : folder for waves, verilator only
    waves_nodes : nodes (x, y) whose waves are written; None: all that have a core
    threads : that step the mesh, verilator only; None: see
    stemcore.runtime.native.verilated_mesh.default_threads
    """
    if engine == "verilator":
        from . import verilator

        return verilator.run(
            program,
            images,
            out_dir=engines() if out_dir is None else out_dir,
            progress=progress,
            waves_dir=waves_dir,
            waves_nodes=waves_nodes,
            threads=threads,
        )
    if engine == "amaranth":
        from . import amaranth

        return amaranth.run(program, images, progress=progress)
    if engine == "program":
        started = time.perf_counter()
        result = run_program(program, images)
        return RunResult(
            engine="program",
            outputs=result.outputs,
            values=result.values,
            counters=_by_node(program, result.counters),
            wall_s=time.perf_counter() - started,
        )
    raise ValueError(
        f"engine: must be verilator, amaranth or program to run a program, got {engine!r}"
    )


# The program engine's names for the gateware's counters (stemcore.golden.spec.fields.Control) that
# differ.
_NAMES = {"ops": "busy"}


def _by_node(
    program: Program, counters: Mapping[str, NDArray[np.int64]]
) -> dict[tuple[int, int], dict[str, int]]:
    """Counters (images, cores) by name, as totals by node."""
    return {
        (core.x, core.y): {
            _NAMES.get(name, name): int(values[:, number].sum())
            for name, values in counters.items()
        }
        for number, core in enumerate(program.cores)
    }
