# SPDX-License-Identifier: Apache-2.0
"""What a run will take, from the spikes that golden knows, before any of it is simulated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.estimation.estimate import estimate, estimate_images
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT
from stemcore.golden.program.program import Program


def predict(
    program: Program,
    images: NDArray[np.int64],
    values: Mapping[str, NDArray[np.int64]],
    *,
    n_timed: int,
) -> dict[str, Any]:
    """Cycles of a run over ``images`` (N, C, H, W), for report.json.

    ``values`` are the integers that every layer fires, by name. Interval and latency are those of
    the first ``n_timed`` images; the interval of one is that of the image sent twice.
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
    times = estimate_images(
        program, images[timed], {name: array[timed] for name, array in values.items()}
    )
    mean = {name: np.mean([image[name] for image in spikes], axis=0) for name in fired}
    figures = estimate(program, mean)
    core, (link, load) = figures.busiest_core, figures.busiest_link
    return {
        "interval": times.interval,
        "latency": times.latency,
        "images": n_timed,
        "busiest_core": {"node": [core.x, core.y], "layer": core.layer, "cycles": core.busy},
        "busiest_link": {"from": list(link[0]), "to": list(link[1]), "spikes": load},
    }


def describe_times(predicted: Mapping[str, Any]) -> str:
    """One line."""
    core, link = predicted["busiest_core"], predicted["busiest_link"]
    return (
        f"the first image after {predicted['latency']:,.0f} cycles, one every "
        f"{predicted['interval']:,.0f}, busiest core ({core['layer']}) {core['cycles']:,.0f}, "
        f"busiest link {link['spikes']:,.0f} spikes"
    )
