# SPDX-License-Identifier: Apache-2.0
"""How long the compiler takes for networks of the paper's size, and how much memory."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import compile_program
from stemcore.runtime.settings import Settings

from .measure import Figure

MODELS = ("tiny_vgg_12m", "resnet34", "vgg16")
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Compiled:
    """Seconds from the float model to the lowered network, and from there to memory images."""

    weights: str
    prepare_s: float
    compile_s: float
    n_cores: int
    peak_gib: float | None


def peak_gib(status: Path = STATUS) -> float | None:
    """Most memory that this process held so far; None where the system does not say.

    ``getrusage`` would also count what the process held from which this one was started.
    """
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20
    return None


def measure_compilation(model: str) -> Compiled:
    """Compiles a model as `make sim` does, up to the program."""
    started = time.perf_counter()
    prepared = prepare(Settings(model=model), n_train=CALIBRATION_IMAGES, n_test=1)
    lowered = time.perf_counter()
    program = compile_program(prepared)
    done = time.perf_counter()
    return Compiled(
        prepared.weights, lowered - started, done - lowered, len(program.cores), peak_gib()
    )


def compilation(models: tuple[str, ...] = MODELS) -> Iterator[Figure]:
    """Each model in a process of its own, so that peaks of memory are its own too."""
    for model in models:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            result = pool.submit(measure_compilation, model).result()
        yield Figure(
            f"{model}: capture, calibrate, quantize, lower",
            result.prepare_s,
            "s",
            f"weights {result.weights}",
            1,
        )
        yield Figure(
            f"{model}: partition, place, assemble",
            result.compile_s,
            "s",
            f"{result.n_cores} cores",
            1,
        )
        if result.peak_gib is not None:
            yield Figure(f"{model}: most memory held", result.peak_gib, "GiB", digits=1)
