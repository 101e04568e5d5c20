# SPDX-License-Identifier: Apache-2.0
"""How fast the gateware runs: native engine, whole chip and Amaranth's simulator, side by side."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stemcore.compiler.estimation.estimate import estimate
from stemcore.folders import results
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.native.build import build
from stemcore.runtime.native.verilated_mesh import LEAST_NODES, default_threads
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import compile_program
from stemcore.runtime.report.figures import rtl_figures
from stemcore.runtime.settings import Settings

from .measure import Figure
from .meshes import build_chip, busy_program, chip_speed, native_speed, one_node_program

SIZES = (1, 2, 4, 8, 16)  # columns, and rows, of square meshes
CHIP_SIZES = (1, 2)
REPEATS = 3
NODE_CYCLES = 300_000  # of each run
THREADS_IMAGES = 4
MODEL, MODEL_CORES = "digits_cnn", 16
MODEL_SIZES = (3, 4, 8, 16)  # it needs five cores; on the smallest mesh it takes all nodes


def simulators() -> Iterator[Figure]:
    """Busy meshes of 1 to 256 nodes; a real program on them; the other simulators."""
    results().mkdir(exist_ok=True)
    program, _ = one_node_program()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=results()) as folder:
        began = time.perf_counter()
        library = build(program.params, Path(folder))
        what = "sim32 node, nothing kept; the same for all meshes"
        yield Figure("native engine: build", time.perf_counter() - began, "s", what, 1)
        busy = yield from _busy_meshes(library)
        yield from _real_program(library)
    yield from whole_chip(CHIP_SIZES, busy)
    yield from _amaranth(busy[1])


def whole_chip_of_16() -> Iterator[Figure]:
    """The chip of 16 nodes as one design, whose build takes longer than all the others."""
    yield from whole_chip((4,), {})


def _busy_meshes(library: Path) -> Iterator[Figure]:
    """All nodes at work in every cycle. Returns cycles per second by mesh size."""
    rates = {}
    for size in SIZES:
        program, images = busy_program(size, size)
        per_image = 17_000 * size * size
        n = max(1, NODE_CYCLES // per_image)
        runs = [native_speed(library, program, images[:n]) for _ in range(REPEATS)]
        best = min(runs, key=lambda speed: speed.seconds)
        rates[size] = best.cycles / best.seconds
        what = f"{n} images, {best.cycles} cycles, all busy"
        yield Figure(f"native engine: {size * size} nodes", rates[size], "cycles/s", what)
        yield Figure(
            f"native engine: {size * size} nodes, by node",
            best.node_cycles / best.seconds,
            "node-cycles/s",
            what,
        )
        threads = default_threads()
        if threads > 1 and size * size >= LEAST_NODES * threads:
            longer = images[: max(n, THREADS_IMAGES)]  # threads start after some cycles
            runs = [native_speed(library, program, longer, threads=threads) for _ in range(REPEATS)]
            best = min(runs, key=lambda speed: speed.wall_s)
            yield Figure(
                f"native engine: {size * size} nodes, {threads} threads",
                best.node_cycles / best.wall_s,
                "node-cycles/s",
                "of time that passed; the others: of processor time",
            )
    return rates


def _real_program(library: Path) -> Iterator[Figure]:
    """The model at its own activity, on meshes that are larger than it needs."""
    for size in MODEL_SIZES:
        prepared = prepare(Settings(model=MODEL, mesh=(size, size), cores=MODEL_CORES))
        program = compile_program(prepared)
        images = prepared.integers[:4]
        runs = [native_speed(library, program, images) for _ in range(REPEATS)]
        best = min(runs, key=lambda speed: speed.seconds)
        nodes = size * size
        share = best.node_cycles / best.cycles / nodes
        what = f"{len(program.cores)} cores of {nodes} nodes, {100 * share:.0f} % of steps taken"
        name = f"native engine: {MODEL} on {nodes} nodes"
        yield Figure(name, best.cycles / best.seconds, "cycles/s", what)
        yield Figure(
            f"{name}, by node",
            best.node_cycles / best.seconds,
            "node-cycles/s",
            "nodes at rest are not counted",
        )


def whole_chip(sizes: tuple[int, ...], busy: dict[int, float]) -> Iterator[Figure]:
    """One Verilator model of all nodes; ``busy``: the native engine's rates, for the ratio."""
    results().mkdir(exist_ok=True)
    for size in sizes:
        nodes = size * size
        program, images = busy_program(size, size)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=results()) as folder:
            began = time.perf_counter()
            binary = build_chip(program, Path(folder))
            built = time.perf_counter() - began
            runs = [chip_speed(binary, program, images[0], 2) for _ in range(REPEATS)]
        best = min(runs, key=lambda speed: speed.seconds)
        rate = best.cycles / best.seconds
        what = f"2 images, {best.cycles} cycles, all busy"
        yield Figure(f"whole chip, {nodes} nodes: build", built, "s", digits=1)
        yield Figure(f"whole chip, {nodes} nodes", rate, "cycles/s", what)
        yield Figure(f"whole chip, {nodes} nodes, by node", rate * nodes, "node-cycles/s", what)
        if size in busy:
            yield Figure(
                f"native engine, of the whole chip's speed: {nodes} nodes",
                busy[size] / rate,
                "times",
                "same run",
                2,
            )


def _amaranth(native: float) -> Iterator[Figure]:
    program, images = one_node_program()
    slow = run_engine("amaranth", program, images[:1])
    rate = slow.timing.total / slow.wall_s
    note = f"1 image, {slow.timing.total} cycles with the configuration"
    yield Figure("Amaranth's simulator: 1 node", rate, "cycles/s", note)
    yield Figure("native engine, of Amaranth's speed: 1 node", native / rate, "times", "same run")


def pipeline(model: str = MODEL, n_images: int = 6) -> Iterator[Figure]:
    """What the gateware does in a cycle, and how well the compiler foresaw it."""
    prepared = prepare(Settings(model=model))
    program = compile_program(prepared)
    images = prepared.integers[:n_images]
    result = run_engine("verilator", program, images)
    figures = rtl_figures(program, result, n_images)
    interval = figures["cycles_per_image"]["interval"]
    predicted = estimate(program, prepared.activity).interval
    what = f"{model}, {len(program.cores)} cores, {n_images} images"
    yield Figure("cycles per image", interval, "cycles", what)
    yield Figure("SOPs per cycle", figures["sops_per_image"] / interval, "SOPs", what, 1)
    yield Figure(
        "estimate, of the measured interval",
        100 * (predicted / interval - 1),
        "%",
        f"{predicted:,.0f} cycles foreseen",
        1,
    )
    lanes = 100 * figures["lane_utilisation"]
    yield Figure("lanes filled while accumulating", lanes, "%", what, 1)
    yield Figure("images through the native engine", n_images / result.wall_s, "images/s", what, 2)
