# SPDX-License-Identifier: Apache-2.0
"""One run of a program on compiled nodes: load, record, send the images, read the counters."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.fixed import wrap
from stemcore.golden.network.network import Population
from stemcore.golden.network.results import join, part
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Node
from stemcore.hdl.export import node_states

from ..errors import EngineError
from ..host import waits
from ..host.errors import check
from ..host.nodes import check_nodes
from ..host.wave_view import saved_view, write_value_names
from ..progress import Progress
from . import watchdog
from .build import build
from .verilated_mesh import Status, VerilatedMesh, default_threads, wave_scope

_log = logging.getLogger(__name__)
HOST_NUMBER = -1  # of the host's end of the mesh, where nodes have theirs
FIRST_FLITS = -2  # asks VerilatedMesh.cycles for the samples' first flits
Values = dict[str, NDArray[np.uint8]]  # by population, (N, C, H, W), the bits that were fired


@dataclass(frozen=True)
class NativeRun:
    """What came out; cycles have one entry per image.

    outputs, values : integers (N, C, H, W) that the host received, and that every population fired
    counters : per node (x, y)
    start, end : cycles in which the host sent an image's first flit, and got its last END
    layer_ends : per layer, the cycle in which its slowest core had sent its last END
    total : cycles from START to rest
    build_s, wall_s : seconds that the node took to compile, and that the run took
    notes : node_cycles stepped, load_cycles before START, threads, shared_cycles
    """

    outputs: NDArray[np.int64]
    values: Mapping[str, NDArray[np.int64]]
    counters: Mapping[Node, Mapping[str, int]]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    layer_ends: Mapping[str, NDArray[np.int64]]
    total: int
    build_s: float
    wall_s: float
    notes: Mapping[str, object]


def run_program(
    program: Program,
    images: NDArray[np.integer],
    *,
    out_dir: Path,
    over_mesh: bool,
    cycle_limit: int,
    progress: Progress | None,
    waves_dir: Path | None,
    waves_nodes: Sequence[Node] | None,
    threads: int | None,
) -> NativeRun:
    """Run ``images`` (N, C, H, W); see :class:`stemcore.runtime.engines.verilator.Verilator`."""
    if waves_nodes is None:
        waves_nodes = [(core.x, core.y) for core in program.cores]
    check_nodes(program, waves_nodes, "waves")
    started = time.perf_counter()
    library = build(program.params, out_dir, waves=waves_dir is not None)
    built = time.perf_counter()
    n_threads = 1 if waves_dir is not None else threads or default_threads()
    if not program.is_part:  # of which there may be hundreds, one after the other
        _log.info(
            "memories of %d cores, %d threads",
            len(program.cores),
            n_threads,
            extra={"stage": "load"},
        )
    with VerilatedMesh(library, program, threads=n_threads) as mesh:
        _load(mesh, over_mesh)
        values, outputs = record(mesh, len(images))
        if waves_dir is not None:
            _begin_waves(mesh, Path(waves_dir), waves_nodes)
        loaded_at = mesh.cycle
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.prepare_host(np.asarray(images, np.int64))
        _run_samples(mesh, len(images), progress, cycle_limit)
        watchdog.settled(mesh)
        check(program.name, mesh.formats, mesh.alerts())
        start, end = (mesh.cycles(number, len(images)) for number in (FIRST_FLITS, HOST_NUMBER))
        layer_ends, total = _layer_ends(mesh, len(images)), mesh.cycle - loaded_at
        _check_recorders(mesh)
        counters = {(core.x, core.y): mesh.counters(core) for core in program.cores}
        notes = {
            "node_cycles": sum(map(mesh.evaluated, range(program.columns * program.rows))),
            "load_cycles": loaded_at,
            "threads": n_threads,
            "shared_cycles": mesh.shared_cycles,
        }
    populations = {layer.population.name: layer.population for layer in program.layers}
    return NativeRun(
        outputs=_output_values(program, outputs),
        values={name: _to_signed(array, populations[name]) for name, array in values.items()},
        counters=counters,
        start=start,
        end=end,
        layer_ends=layer_ends,
        total=total,
        build_s=built - started,
        wall_s=time.perf_counter() - built,
        notes=notes,
    )


def _begin_waves(mesh: VerilatedMesh, folder: Path, nodes: Sequence[Node]) -> None:
    """Waves of ``nodes``, a file each, beside it a saved view; the words of its values."""
    program = mesh.program
    layers = {(core.x, core.y): core.layer for core in program.cores}
    states = node_states(program.params)
    write_value_names(folder, program.params, states)
    for x, y in nodes:
        mesh.trace(mesh.number(x, y), folder / f"waves-{x}-{y}.fst")
        title = f"node ({x}, {y}) {layers.get((x, y), 'without a core')}"
        view = saved_view(program.params, {title: f"{wave_scope(x, y)}.node"}, states)
        (folder / f"waves-{x}-{y}.gtkw").write_text(view)


def _load(mesh: VerilatedMesh, over_mesh: bool) -> None:
    for core in mesh.program.cores:
        if over_mesh:
            mesh.send(mesh.host.configuration(core))
        else:
            mesh.load(core)
    watchdog.settled(mesh)
    check(mesh.program.name, mesh.formats, mesh.alerts())


def _to_signed(values: NDArray[np.uint8], population: Population) -> NDArray[np.int64]:
    return wrap(values, population.bits) if population.is_signed else values.astype(np.int64)


def _output_values(program: Program, outputs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the host received, as integers, each population by its own bits and sign."""
    shapes = {population.name: population.shape for population in program.output_populations}
    return join([_to_signed(part(outputs, shapes, p.name), p) for p in program.output_populations])


def record(mesh: VerilatedMesh, n_images: int) -> tuple[Values, NDArray[np.uint8]]:
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
        ends = end_list.unpack(word)["count"] * program.tokens_per_sample(population)
        mesh.record(mesh.number(core.x, core.y), values[core.layer], [population], ends)
    outputs = np.zeros((n_images, *program.output_shape), np.uint8)
    received = program.output_populations
    ends = program.output_ends * program.tokens_per_sample(received[0])
    mesh.record(HOST_NUMBER, outputs, received, ends)
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
    report = watchdog.report(mesh)
    if status in reasons:
        report = "\n".join([report, *_waits(mesh)])
    raise EngineError(
        f"{mesh.program.name}: {n_images} images must come out, {mesh.samples_done} did, "
        f"and {reason}\n{report}"
    )


def _waits(mesh: VerilatedMesh) -> list[str]:
    try:
        return waits.report(mesh.program, mesh.statuses())
    except EngineError as error:  # nothing gets through any more
        return [f"  {error}"]


def _layer_ends(mesh: VerilatedMesh, n_images: int) -> dict[str, NDArray[np.int64]]:
    layer_ends: dict[str, NDArray[np.int64]] = {}
    for core in mesh.program.cores:
        ends = mesh.cycles(mesh.number(core.x, core.y), n_images)
        before = layer_ends.get(core.layer)
        layer_ends[core.layer] = ends if before is None else np.maximum(before, ends)
    return layer_ends


def _check_recorders(mesh: VerilatedMesh) -> None:
    nodes = [(HOST_NUMBER, "the host's end")]
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
