# SPDX-License-Identifier: Apache-2.0
"""One call over all engines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.virtual.chip import VirtualChip
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import Node

from ..progress import Progress
from .engine import NetworkEngine, ProgramEngine, RunOptions
from .registry import check_options, get_engine
from .result import RunResult
from .virtual import run_virtual


def run_engine(
    engine: str | ProgramEngine | NetworkEngine,
    program: Program | None,
    images: NDArray[np.integer],
    *,
    network: Network | None = None,
    params: ChipParams | None = None,
    out_dir: Path | None = None,
    progress: Progress | None = None,
    waves_dir: Path | None = None,
    waves_nodes: Sequence[Node] | None = None,
    threads: int | None = None,
    chip: VirtualChip | None = None,
    port: str | None = None,
) -> RunResult:
    """Run ``images`` (N, C, H, W) of input integers; before that, refuse what cannot be.

    engine : a name or alias (stemcore.runtime.engines.registry.engine_names), or an engine itself
    program : what engines of memory images run; may be None for others
    network, params : what ``golden`` runs, and the chip whose potentials it has (default: the
        program's); may be None for others
    out_dir, progress, waves_dir, waves_nodes, threads, port : see
        :class:`stemcore.runtime.engines.engine.RunOptions`
    chip : how the program runs on a chip with fewer cores
        (:func:`stemcore.compiler.virtual.chip.virtual_chip`); None: all cores are there

    Raises ``ValueError`` for an unknown engine, one that lacks what it is to run, and an option
    that it does not have; :class:`stemcore.runtime.errors.EngineError` where the run fails.
    """
    chosen = get_engine(engine) if isinstance(engine, str) else engine
    options = RunOptions(
        out_dir=out_dir,
        progress=progress,
        waves_dir=waves_dir,
        waves_nodes=waves_nodes,
        threads=threads,
        port=port,
    )
    check_options(chosen, options)
    if isinstance(chosen, NetworkEngine):
        if chip is not None:
            raise ValueError(
                f"cores_on_chip: engine {chosen.name!r} has no cores; leave the option out"
            )
        params = params or (program.params if program is not None else None)
        if network is None or params is None:
            raise ValueError(
                f"engine {chosen.name!r} runs a lowered network: network and params must be given, "
                f"got {'no network' if network is None else 'no params'}"
            )
        return chosen.run(network, params, images, options=options)
    if program is None:
        raise ValueError(f"engine {chosen.name!r} runs a program: it must be given, got None")
    if chip is None:
        return chosen.run(program, images, options=options)
    return run_virtual(chosen, chip, images, options=options)
