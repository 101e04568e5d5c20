# SPDX-License-Identifier: Apache-2.0
"""How many spikes are expected where: what partition, place and estimate weigh their choices with.

An activity maps a population's name (``INPUT`` for the network's input) to the expected number of
spikes (set bits) of each of its neurons in one image: an array (C, H, W), or one number for all.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from golden.network import INPUT, Network, Population

from .errors import CompileError

Activity = Mapping[str, "NDArray[np.float64] | float"]
SpikeMaps = Mapping[str, NDArray[np.float64]]

DEFAULT_SPIKES = 2.0  # spikes per neuron and image where nothing was measured


def count_spikes(values: NDArray[np.int64], population: Population) -> NDArray[np.int64]:
    """Set bits of every value in the population's n-bit form; same shape as ``values``."""
    word = np.asarray(values, dtype=np.int64) & ((1 << population.bits) - 1)
    return sum(((word >> bit) & 1 for bit in range(population.bits)), np.zeros_like(word))


def spike_maps(network: Network, activity: Activity | None = None) -> dict[str, NDArray]:
    """An array (C, H, W) of expected spikes for the input and every layer of ``network``."""
    given = dict(activity or {})
    maps: dict[str, NDArray[np.float64]] = {}
    for name in (INPUT, *(layer.name for layer in network.layers)):
        shape = network.population(name).shape
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
            "use the layers' names, and 'input'",
        )
    return maps
