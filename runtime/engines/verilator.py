# SPDX-License-Identifier: Apache-2.0
"""The cycle-accurate engine: one compiled node, instantiated as often as the mesh has nodes.

The node is compiled once for a set of chip parameters: neither the mesh nor the network nor the
weights are part of it.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Control, Memory

from ..errors import EngineError
from ..host.protocol import output_population, tokens_per_sample
from ..native import watchdog
from ..native.build import build
from ..native.verilated_mesh import Status, VerilatedMesh, default_threads
from .engine import Feature, ProgramEngine, Progress, RunOptions
from .result import RunResult, Timing

Values = dict[str, NDArray[np.uint8]]  # by population, (N, C, H, W), as the bits that were fired


@dataclass(frozen=True)
class Verilator(ProgramEngine):
    """The gateware of a program, stepped clock by clock.

    ``options.out_dir`` keeps the compiled node. ``options.threads`` step the nodes (see
    :func:`stemcore.runtime.native.verilated_mesh.default_threads`); one writes waves, of each
    node into ``waves-X-Y.fst``. Raises :class:`EngineError` when nothing moves any more, when a
    core fires what it must not, or beyond ``cycle_limit`` cycles; ``ValueError`` for waves of a
    node that is not there.

    over_mesh : write the memories by WRITE packets instead of straight into the model
    """

    name: ClassVar[str] = "verilator"
    summary: ClassVar[str] = "the compiled gateware, cycle-accurate"
    aliases: ClassVar[tuple[str, ...]] = ("rtl",)
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)

    over_mesh: bool = False
    cycle_limit: int = 2_000_000_000

    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine; ``build_s`` is the time that the node took to compile, if it had to."""
        if options.out_dir is None:
            raise ValueError(f"run_engine: engine {self.name!r} must have out_dir, got None")
        _check_nodes(program, options)
        waves = options.waves_dir is not None
        started = time.perf_counter()
        library = build(program.params, options.out_dir, waves=waves)
        built = time.perf_counter()
        n_threads = 1 if waves else options.threads or default_threads()
        with VerilatedMesh(library, program, threads=n_threads) as mesh:
            self._load(mesh)
            values, outputs = _record(mesh, len(images))
            _trace(mesh, options)
            loaded_at = mesh.cycle
            for core in program.cores:
                mesh.send(mesh.host.start(core))
            mesh.prepare_host(np.asarray(images, np.int64))
            _run_samples(mesh, len(images), options.progress, self.cycle_limit)
            watchdog.settled(mesh)
            timing = _timing(mesh, len(images), loaded_at)
            _check_recorders(mesh, len(images))
            counters = {(core.x, core.y): mesh.counters(core) for core in program.cores}
            notes = {
                "node_cycles": sum(map(mesh.evaluated, range(program.columns * program.rows))),
                "load_cycles": loaded_at,
                "threads": n_threads,
                "shared_cycles": mesh.shared_cycles,
            }
        populations = {layer.population.name: layer.population for layer in program.layers}
        return RunResult(
            engine=self.name,
            outputs=_to_signed(outputs, populations[program.output]),
            values={name: _to_signed(array, populations[name]) for name, array in values.items()},
            counters=counters,
            timing=timing,
            build_s=built - started,
            wall_s=time.perf_counter() - built,
            notes=notes,
        )

    def _load(self, mesh: VerilatedMesh) -> None:
        for core in mesh.program.cores:
            if self.over_mesh:
                mesh.send(mesh.host.configuration(core))
            else:
                mesh.load(core)
        watchdog.settled(mesh)


def _check_nodes(program: Program, options: RunOptions) -> None:
    for x, y in options.waves_nodes or ():
        if not (0 <= x < program.columns and 1 <= y <= program.rows):
            raise ValueError(
                f"waves: a node must lie in columns 0 to {program.columns - 1} and rows 1 to "
                f"{program.rows}, got ({x}, {y})"
            )


def _trace(mesh: VerilatedMesh, options: RunOptions) -> None:
    if options.waves_dir is None:
        return
    nodes = options.waves_nodes
    if nodes is None:
        nodes = [(core.x, core.y) for core in mesh.program.cores]
    for x, y in nodes:
        mesh.trace(mesh.number(x, y), Path(options.waves_dir) / f"waves-{x}-{y}.fst")


def _to_signed(values: NDArray[np.uint8], population: Population) -> NDArray[np.int64]:
    wide = values.astype(np.int64)
    if not population.is_signed:
        return wide
    return np.where(wide >> (population.bits - 1), wide - (1 << population.bits), wide)


def _record(mesh: VerilatedMesh, n_images: int) -> tuple[Values, NDArray[np.uint8]]:
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
    population = output_population(program)
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
    if status is Status.DONE:
        return
    reasons = {
        Status.AT_REST: "nothing moves any more",
        Status.STANDSTILL: watchdog.standstill(),
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
