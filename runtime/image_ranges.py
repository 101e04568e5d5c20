# SPDX-License-Identifier: Apache-2.0
"""Many images through a program, a range at a time: each range is a unit of work.

A range finds the chip empty, goes through torch, golden, the memory images and the engine that was
asked for, and every spike and counter is compared where it is run. What comes back is small:
outputs, counters, cycles and the first difference. Counters of ranges add up to those of one run
over all images; only cycles in which cores wait (``stalled``, ``idle``) know of the ranges.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.pipeline import Compilation
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network

from .cluster.packing import pack_compilation, pack_images, unpack_compilation, unpack_images
from .cluster.units import Blobs, Unit
from .engines.compare import chip_difference, first_difference
from .engines.engine import ProgramEngine
from .engines.program import Program as ProgramInNumpy
from .engines.registry import get_engine
from .engines.result import RunResult, Timing
from .engines.run import run_engine
from .prepared import torch_difference
from .report.evaluation import BATCH_VALUES
from .report.stopwatch import Stopwatch

RANGE_IMAGES = 50  # at most; fewer where all layers' values of so many would not fit memory
_FLAGS = ("overflow",)  # counters that do not add up: one is as good as many


def range_size(network: Network) -> int:
    """Images of one range; depends on the network alone, so that other machines, another number of
    workers or more images find the ranges of before."""
    n_values = sum(int(np.prod(layer.out_shape)) for layer in network.layers)
    return max(1, min(RANGE_IMAGES, BATCH_VALUES // n_values))


def range_units(
    compilation: Compilation, images: NDArray[np.int64], engine: str, threads: int | None
) -> list[Unit]:
    """Units for all of ``images`` (N, C, H, W), integers on the input's scale, in order.

    engine : name of one that runs programs
    """
    packed, size = pack_compilation(compilation), range_size(compilation.network)
    units = []
    for first in range(0, len(images), size):
        part = images[first : first + size]
        units.append(
            Unit(
                name=f"images {first} to {first + len(part) - 1}",
                function=run_range,
                arguments={"engine": get_engine(engine).name, "threads": threads},
                blobs={"compilation": packed, "images": pack_images(part)},
            )
        )
    return units


def run_range(arguments: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    """The function of :func:`range_units`: everything that is compared, for one range."""
    images = unpack_images(blobs["images"])
    compilation = unpack_compilation(blobs["compilation"])
    program, params = compilation.program, compilation.options.params
    watch = Stopwatch()
    with watch("golden"):
        golden = run_network(compilation.network, images, acc_width=params.acc_width)
    with watch("torch"):
        differences = {"torch_golden": torch_difference(compilation, images, golden)}
    with watch("program"):
        ran = run_engine(ProgramInNumpy(), program, images)
    differences["golden_program"] = first_difference(
        program, golden, ran.values, ("golden", "program")
    )
    found = {"differences": differences, "program": _plain(ran), "seconds": watch.seconds}
    engine = get_engine(arguments["engine"])
    if not isinstance(engine, ProgramInNumpy):
        rtl = run_engine(engine, program, images, threads=arguments["threads"])
        differences["golden_rtl"] = chip_difference(program, golden, rtl, ("golden", "RTL"), ran)
        found["chip"] = _plain(rtl)
    return found


def _plain(ran: RunResult) -> dict[str, Any]:
    """A run as JSON, without the values that its comparison has been through."""
    counters, timing = ran.counters, ran.timing
    return {
        "engine": ran.engine,
        "outputs": ran.outputs.tolist(),
        "counters": None
        if counters is None
        else [[x, y, {n: int(v) for n, v in own.items()}] for (x, y), own in counters.items()],
        "timing": None
        if timing is None
        else {
            "start": timing.start.tolist(),
            "end": timing.end.tolist(),
            "total": int(timing.total),
        },
        "build_s": ran.build_s,
        "wall_s": ran.wall_s,
        "notes": json.loads(json.dumps(dict(ran.notes), default=str)),
    }


def result_of(plain: Mapping[str, Any], values: Mapping[str, NDArray[np.int64]]) -> RunResult:
    """One range's run, with values (N, C, H, W) by layer that it was found equal to."""
    return merged([plain], values)


def merged(
    plain: Sequence[Mapping[str, Any]], values: Mapping[str, NDArray[np.int64]] | None = None
) -> RunResult:
    """Runs of ranges, in order, as one run of all their images.

    Outputs follow each other and counters add up; each range's cycles begin where those of the
    range before end, with the chip empty (``Timing.begins``). ``values`` are left out otherwise.
    """
    first = plain[0]
    return RunResult(
        engine=first["engine"],
        outputs=np.concatenate([np.array(one["outputs"], np.int64) for one in plain]),
        values=dict(values or {}),
        counters=None if first["counters"] is None else _sums(plain),
        timing=None if first["timing"] is None else _times(plain),
        build_s=sum(one["build_s"] for one in plain),
        wall_s=sum(one["wall_s"] for one in plain),
        notes=_notes([one["notes"] for one in plain]),
    )


def _sums(plain: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int], dict[str, int]]:
    total: dict[tuple[int, int], dict[str, int]] = {}
    for one in plain:
        for x, y, own in one["counters"]:
            before = total.setdefault((x, y), dict.fromkeys(own, 0))
            for name, value in own.items():
                before[name] = max(before[name], value) if name in _FLAGS else before[name] + value
    return total


def _times(plain: Sequence[Mapping[str, Any]]) -> Timing:
    starts, ends, begins, total, n_images = [], [], [], 0, 0
    for one in plain:
        timing = one["timing"]
        starts.append(np.array(timing["start"], np.int64) + total)
        ends.append(np.array(timing["end"], np.int64) + total)
        begins.append(n_images)
        total += timing["total"]
        n_images += len(timing["end"])
    return Timing(np.concatenate(starts), np.concatenate(ends), {}, total, tuple(begins))


def _notes(notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts add up; of anything else what all ranges agree on stays, such as the threads."""
    found: dict[str, Any] = {}
    for name in notes[0]:
        values = [one.get(name) for one in notes]
        if name.endswith("_cycles"):
            found[name] = sum(value for value in values if value is not None)
        elif all(value == values[0] for value in values):
            found[name] = values[0]
    return found


def first_differences(
    units: Sequence[Unit], found: Sequence[Mapping[str, Any]]
) -> dict[str, str | None]:
    """By what was compared, the first difference, with the range that it is in."""
    differences: dict[str, str | None] = dict.fromkeys(found[0]["differences"])
    for unit, one in zip(units, found, strict=True):
        for name, text in one["differences"].items():
            if text is not None and differences[name] is None:
                differences[name] = f"{unit.name}, numbered from 0: {text}"
    return differences


def check_engine(engine: str, has_waves: bool) -> None:
    """``ValueError`` where images cannot be run in ranges by this engine."""
    chosen = get_engine(engine)
    if not isinstance(chosen, ProgramEngine):
        raise ValueError(
            f"CLUSTER: ranges of images are run by engines of memory images, got {chosen.name!r}, "
            "which needs none and is fast; leave CLUSTER out"
        )
    if has_waves:
        raise ValueError("CLUSTER: waves are written by one process, leave CLUSTER or WAVES out")
