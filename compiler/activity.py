# SPDX-License-Identifier: Apache-2.0
"""Expected spikes of every population, on which partitioning, placement and estimates rest.

An activity maps a population's name (``INPUT`` for the network's input) to the expected number of
spikes (set bits) of each of its neurons in one image: an array (C, H, W), or one number for all.
The mean of ``stemcore.golden.arithmetic.stem.count_spikes`` over calibration images is one.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Network

from .errors import CompileError

Activity = Mapping[str, "NDArray[np.float64] | float"]

DEFAULT_SPIKES = 2.0  # spikes per neuron and image where nothing was measured


def population_maps(
    shapes: Mapping[str, tuple[int, int, int]], activity: Activity | None = None
) -> dict[str, NDArray[np.float64]]:
    """An array of expected spikes for every population of ``shapes``."""
    given = dict(activity or {})
    maps: dict[str, NDArray[np.float64]] = {}
    for name, shape in shapes.items():
        spikes = np.asarray(given.pop(name, DEFAULT_SPIKES), dtype=np.float64)
        if spikes.shape not in ((), shape):
            raise CompileError(
                f"activity of {name}",
                f"must be a number or an array of shape {shape}, got shape {spikes.shape}",
                "measure it on the population after pooling",
            )
        if spikes.size and not (np.isfinite(spikes).all() and spikes.min() >= 0):
            raise CompileError(
                f"activity of {name}",
                f"must be finite and not negative, got {spikes.min()} to {spikes.max()}",
                "give spikes per neuron and image",
            )
        maps[name] = np.broadcast_to(spikes, shape)
    if given:
        raise CompileError(
            "activity",
            f"must name populations of the network, got {', '.join(sorted(given))}",
            f"use {', '.join(shapes)}",
        )
    return maps


def spike_maps(
    network: Network, activity: Activity | None = None
) -> dict[str, NDArray[np.float64]]:
    """An array (C, H, W) of expected spikes for the input and every layer of ``network``."""
    names = (INPUT, *(layer.name for layer in network.layers))
    return population_maps({name: network.population(name).shape for name in names}, activity)
