# SPDX-License-Identifier: Apache-2.0
"""The cycle-accurate engine: one compiled node, instantiated as often as the mesh has nodes.

The node is compiled once for a set of chip parameters: neither the mesh nor the network nor the
weights are part of it.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Control, Memory
from stemcore.golden.spec.routing import Node

from ..host.protocol import tokens_per_sample
from ..native import watchdog
from ..native.build import build
from ..native.verilated_mesh import (
    AT_REST,
    PATIENCE,
    STANDSTILL,
    VerilatedMesh,
    default_threads,
)
from .result import EngineError, RunResult, Timing

Progress = Callable[[int, int], None]  # images done, cycles so far


def run(
    program: Program,
    images: NDArray[np.integer],
    *,
    out_dir: Path,
    progress: Progress | None = None,
    over_mesh: bool = False,
    cycle_limit: int = 2_000_000_000,
    waves_dir: Path | None = None,
    waves_nodes: Sequence[Node] | None = None,
    threads: int | None = None,
) -> RunResult:
    """Run ``images`` (N, C, H, W) through the gateware of ``program``.

    ``over_mesh`` writes the memories by WRITE packets instead of straight into the model. The
    waves of ``waves_nodes`` (default: of all nodes with a core) go to ``waves_dir/waves-X-Y.fst``.
    ``threads`` step the nodes, see :func:`stemcore.runtime.native.verilated_mesh.default_threads`;
    one writes waves. Raises :class:`EngineError` when nothing moves any more, when a core fires
    what it must not, or beyond ``cycle_limit``; ``ValueError`` for waves of a node that is not
    there.
    """
    if waves_nodes is None:
        waves_nodes = [(core.x, core.y) for core in program.cores]
    for x, y in waves_nodes:
        if not (0 <= x < program.columns and 1 <= y <= program.rows):
            raise ValueError(
                f"waves: a node must lie in columns 0 to {program.columns - 1} and rows 1 to "
                f"{program.rows}, got ({x}, {y})"
            )
    started = time.perf_counter()
    library = build(program.params, out_dir, waves=waves_dir is not None)
    built = time.perf_counter()
    n_images = len(images)
    n_threads = 1 if waves_dir is not None else threads or default_threads()
    with VerilatedMesh(library, program, threads=n_threads) as mesh:
        for core in program.cores:
            if over_mesh:
                mesh.send(mesh.host.configuration(core))
            else:
                mesh.load(core)
        mesh.settle()
        values, outputs = _record(mesh, n_images)
        if waves_dir is not None:
            for x, y in waves_nodes:
                mesh.trace(mesh.number(x, y), Path(waves_dir) / f"waves-{x}-{y}.fst")
        loaded_at = mesh.cycle
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.prepare_host(np.asarray(images, np.int64))
        _run_samples(mesh, n_images, progress, cycle_limit)
        mesh.settle()
        timing = _timing(mesh, n_images, loaded_at)
        _check_recorders(mesh, n_images)
        counters = {(core.x, core.y): mesh.counters(core) for core in program.cores}
        shared = mesh.shared_cycles
        evaluated = sum(mesh.evaluated(n) for n in range(program.columns * program.rows))
    finished = time.perf_counter()
    signed = {layer.population.name: layer.population for layer in program.layers}
    return RunResult(
        engine="verilator",
        outputs=_to_signed(outputs, signed[program.output]),
        values={name: _to_signed(array, signed[name]) for name, array in values.items()},
        counters=counters,
        timing=timing,
        build_s=built - started,
        wall_s=finished - built,
        notes={
            "node_cycles": evaluated,
            "load_cycles": loaded_at,
            "threads": n_threads,
            "shared_cycles": shared,
        },
    )


def _to_signed(values: NDArray[np.uint8], population: Population) -> NDArray[np.int64]:
    wide = values.astype(np.int64)
    if not population.is_signed:
        return wide
    return np.where(wide >> (population.bits - 1), wide - (1 << population.bits), wide)


def _record(mesh: VerilatedMesh, n_images: int):
    """Recorders at every core and at the host's end."""
    program = mesh.program
    populations = {layer.population.name: layer.population for layer in program.layers}
    values = {
        name: np.zeros((n_images, *population.shape), np.uint8)
        for name, population in populations.items()
    }
    end_list = mesh.formats.token_list
    for core in program.cores:
        word = int(core.memories[Memory.CONTROL][Control.END_LIST].item())
        population = populations[core.layer]
        ends = end_list.unpack(word)["count"] * tokens_per_sample(program, population)
        mesh.record(mesh.number(core.x, core.y), values[core.layer], population.bits, ends)
    outputs = np.zeros_like(values[program.output])
    population = populations[program.output]
    ends = program.output_ends * tokens_per_sample(program, population)
    mesh.record(-1, outputs, population.bits, ends)
    return values, outputs


def _run_samples(
    mesh: VerilatedMesh, n_images: int, progress: Progress | None, cycle_limit: int
) -> None:
    def look() -> None:
        if progress is not None:
            progress(mesh.samples_done, mesh.cycle)

    status = mesh.run_sliced(samples=n_images, limit=cycle_limit, look=look)
    if status == 0:
        return
    reasons = {
        AT_REST: "nothing moves any more",
        STANDSTILL: f"something waits, and nothing has moved for {PATIENCE} cycles",
    }
    reason = reasons.get(status, f"{mesh.cycle} cycles have passed")
    raise EngineError(
        f"{mesh.program.name}: {n_images} images must come out, {mesh.samples_done} did, "
        f"and {reason}\n{watchdog.report(mesh)}"
    )


def _timing(mesh: VerilatedMesh, n_images: int, loaded_at: int) -> Timing:
    layer_ends: dict[str, NDArray[np.int64]] = {}
    for core in mesh.program.cores:
        ends = mesh.cycles(mesh.number(core.x, core.y), n_images)
        before = layer_ends.get(core.layer)
        layer_ends[core.layer] = ends if before is None else np.maximum(before, ends)
    return Timing(
        start=mesh.cycles(-2, n_images),
        end=mesh.cycles(-1, n_images),
        layer_ends=layer_ends,
        total=mesh.cycle - loaded_at,
    )


def _check_recorders(mesh: VerilatedMesh, n_images: int) -> None:
    nodes = [(-1, "the host's end")]
    nodes += [
        (mesh.number(core.x, core.y), f"node ({core.x}, {core.y}) {core.layer}")
        for core in mesh.program.cores
    ]
    for number, name in nodes:
        errors = mesh.errors(number)
        if errors:
            raise EngineError(
                f"{name}: spikes must name neurons of its population, in time order; {errors} did "
                "not. The program or the gateware is wrong: run the engine 'program' to find out"
            )
