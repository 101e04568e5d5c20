# SPDX-License-Identifier: Apache-2.0
"""Times of the layers of a program, as a search for few cycles wants them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.estimation.estimate import CoreEstimate, Estimate
from stemcore.compiler.sparsity.cycles import LayerTime
from stemcore.golden.network.forward import fan_out
from stemcore.golden.network.network import Network


def layer_times(
    network: Network, activity: Mapping[str, NDArray[np.float64]], estimated: Estimate
) -> dict[str, LayerTime]:
    """Times of all layers of ``network`` from the estimate of its program for ``activity``: mean
    spikes (C, H, W) of each population."""
    busiest: dict[str, CoreEstimate] = {}
    for core in estimated.cores:
        if core.layer not in busiest or core.busy > busiest[core.layer].busy:
            busiest[core.layer] = core
    found = {}
    for layer in network.layers:
        sops: dict[str, float] = {}
        for c in layer.connections:
            received = activity[c.source].sum(axis=0) * fan_out(c, network.population(c.source))
            sops[c.source] = sops.get(c.source, 0.0) + float(received.sum())
        total = sum(sops.values()) or 1.0
        core = busiest[layer.name]
        found[layer.name] = LayerTime(
            core.accumulate,
            core.update_pass,
            core.fire,
            {name: value / total for name, value in sops.items()},
        )
    return found
