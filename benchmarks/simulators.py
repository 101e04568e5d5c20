# SPDX-License-Identifier: Apache-2.0
"""How fast the gateware runs: the native engine and Amaranth's simulator, on the same programs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler.backend import compile_network
from golden.network import INPUT, Connection, Layer, Network, Population
from golden.params import get_preset
from golden.program import Program
from runtime.engines.run import run_engine
from runtime.prepare import Settings, compile_program, prepare
from runtime.toolchain import SIM_BUILD

from .measure import Figure


def one_node_program() -> tuple[Program, NDArray[np.int64]]:
    """A 3 x 3 convolution, 8 to 32 channels on 8 x 8, on one node of the preset ``sim32``."""
    rng = np.random.default_rng(0)
    channels = 32
    weight = rng.integers(-127, 128, (channels, 8, 3, 3)).astype(np.int8)
    zeros = np.zeros(channels, np.int64)
    layer = Layer(
        "conv", (channels, 8, 8), (Connection(INPUT, weight, padding=(1, 1)),), zeros, zeros + 1,
        zeros + 10,
    )  # fmt: skip
    source = Population(INPUT, (8, 8, 8), 8, False)
    network = Network("conv", source, (layer,), {INPUT: 1.0, "conv": 1.0})
    images = rng.integers(0, 256, (64, *source.shape))
    return compile_network(network, get_preset("sim32"), columns=1, rows=1), images


def simulators() -> Iterator[Figure]:
    """Build time and cycles per second."""
    program, images = one_node_program()
    single = "3 x 3 convolution, one node of 32 lanes"
    SIM_BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SIM_BUILD) as folder:
        out_dir = Path(folder)
        built = run_engine("verilator", program, images[:1], out_dir=out_dir)
        yield Figure("native engine: build", built.build_s, "s", "sim32 node, nothing kept", 1)
        yield from _native("one node", program, images, out_dir, single)
        prepared = prepare(Settings(model="digits_cnn"))
        digits = compile_program(prepared)
        what = f"digits_cnn, {len(digits.cores)} of {digits.columns * digits.rows} nodes at work"
        yield from _native("a mesh", digits, prepared.integers[:64], out_dir, what)
    # The same programs; one image is enough, since speed does not depend on how many there are.
    slow = run_engine("amaranth", program, images[:1])
    rate = slow.timing.total / slow.wall_s
    note = f"{single}; 1 image, {slow.timing.total} cycles with the configuration"
    yield Figure("Amaranth's simulator: one node", rate, "cycles/s", note)


def _native(
    what: str, program: Program, images: NDArray[np.integer], out_dir: Path, note: str
) -> Iterator[Figure]:
    result = run_engine("verilator", program, images, out_dir=out_dir)
    best = min(
        (result, *(run_engine("verilator", program, images, out_dir=out_dir) for _ in range(2))),
        key=lambda one: one.wall_s,
    )
    note = f"{note}; {len(images)} images, {best.timing.total} cycles"
    yield Figure(f"native engine: {what}", best.timing.total / best.wall_s, "cycles/s", note)
    yield Figure(f"native engine: {what}, steps of nodes", best.notes["node_cycles"] / best.wall_s,
                 "nodes/s", "resting nodes are skipped")  # fmt: skip
    yield Figure(f"native engine: {what}, images", len(images) / best.wall_s, "images/s", note, 1)
