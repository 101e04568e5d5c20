# SPDX-License-Identifier: Apache-2.0
"""What a run will take, from the spikes that golden knows, before any of it is simulated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.activity import Activity
from stemcore.compiler.estimation.estimate import estimate, estimate_images
from stemcore.compiler.estimation.flows import Link
from stemcore.compiler.virtual.chip import VirtualChip
from stemcore.compiler.virtual.times import VirtualTimes, time_images
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT
from stemcore.golden.program.program import Program


def predict(
    program: Program,
    images: NDArray[np.int64],
    values: Mapping[str, NDArray[np.int64]],
    *,
    n_timed: int,
    chip: VirtualChip | None = None,
) -> dict[str, Any]:
    """Cycles of a run over ``images`` (N, C, H, W), for report.json.

    ``values`` are the integers that every layer fires, by name. Interval and latency are those of
    the first ``n_timed`` images; the interval of one is that of the image sent twice. On a ``chip``
    whose cores take turns they have loading in them (:func:`_virtual`).
    """
    fired = {INPUT: (images, program.input.bits)} | {
        info.population.name: (values[info.population.name], info.population.bits)
        for info in program.layers
    }
    spikes = [
        {name: count_spikes(array[i], bits) for name, (array, bits) in fired.items()}
        for i in range(len(images))
    ]
    n_timed = min(n_timed, len(images))
    # One image that comes twice has an interval too.
    timed = np.arange(n_timed) if n_timed > 1 else np.zeros(2, np.int64)
    of_timed = {name: array[timed] for name, array in values.items()}
    mean = {name: np.mean([image[name] for image in spikes], axis=0) for name in fired}
    figures = estimate(program, mean)
    core, (link, load) = figures.busiest_core, figures.busiest_link
    if chip is None:
        times = estimate_images(program, images[timed], of_timed)
        cycles: dict[str, Any] = {"interval": times.interval, "latency": times.latency}
    else:
        cycles = _virtual(time_images(chip, images[timed], of_timed, mean), chip, len(images))
        link, load = _busiest_link(chip, mean)
    return {
        **cycles,
        "images": n_timed,
        "busiest_core": {"node": [core.x, core.y], "layer": core.layer, "cycles": core.busy},
        "busiest_link": {"from": list(link[0]), "to": list(link[1]), "spikes": load},
    }


def _virtual(times: VirtualTimes, chip: VirtualChip, n_images: int) -> dict[str, Any]:
    """Latency of the first of ``n_images``, and cycles of one, its share of loading included."""
    sizes = [min(chip.batch, n_images - at) for at in range(0, n_images, chip.batch)]
    return {
        "interval": sum(times.of_batch(size) for size in sizes) / n_images,
        "latency": times.first_image(sizes[0]),
        "virtual": {
            "load": times.load,
            "compute": times.interval,
            "flits_in": times.flits_in,
            "flits_out": times.flits_out,
        },
    }


def _busiest_link(chip: VirtualChip, activity: Activity) -> tuple[Link, float]:
    """Of all groups; links of the chip."""
    found = [estimate(part.program, activity).busiest_link for part in chip.parts]
    return max(found, key=lambda item: (item[1], item[0]))


def describe_times(predicted: Mapping[str, Any]) -> str:
    """One line."""
    core, link = predicted["busiest_core"], predicted["busiest_link"]
    return (
        f"the first image after {predicted['latency']:,.0f} cycles, one every "
        f"{predicted['interval']:,.0f}, busiest core ({core['layer']}) {core['cycles']:,.0f}, "
        f"busiest link {link['spikes']:,.0f} spikes"
    )
