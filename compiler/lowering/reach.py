# SPDX-License-Identifier: Apache-2.0
"""What sums and potentials of time steps reach on calibration images."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.forward import Forward
from stemcore.golden.network.network import Layer, Network
from stemcore.golden.network.period_sums import PeriodSums
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.neurons.exact import EXACT

BATCH = 16  # images at a time: potentials of all layers and steps are looked at


@dataclass(frozen=True)
class LayerReach:
    """What the time steps of a layer reach on calibration images, without any limit of bits.

    ``sums`` is the largest magnitude of I[t]; ``potentials[t]`` that of ``V[t] = 2 V[t-1] + I[t]``.
    """

    name: str
    sums: int
    potentials: tuple[int, ...]


def measure(network: Network, images: NDArray[np.integer], neuron: Neuron) -> list[LayerReach]:
    """What every layer reaches, with the exact network's activations as inputs.

    ``neuron``: any of a model whose token period is the time step.
    """
    exact = _with_neuron(network, EXACT)
    forward = Forward(exact, acc_width=32)
    per_step = _with_neuron(network, neuron)
    steps = [PeriodSums(layer, per_step, checks=False) for layer in per_step.layers]
    sums = [0] * len(steps)
    potentials = [[0] * s.n_periods for s in steps]
    for start in range(0, len(images), BATCH):
        values = {
            name: np.ascontiguousarray(array.transpose(0, 2, 3, 1), np.float32)
            for name, array in forward.run(images[start : start + BATCH]).items()
        }
        for number, layer_steps in enumerate(steps):
            v: NDArray[np.int64] | None = None
            for t, i in enumerate(layer_steps.periods(values)):
                # The exact potential, most significant bits first.
                v = i.astype(np.int64) if v is None else 2 * v + i.astype(np.int64)
                sums[number] = max(sums[number], _magnitude(i))
                potentials[number][t] = max(potentials[number][t], _magnitude(v))
    return [
        LayerReach(layer.name, n, tuple(reached))
        for layer, n, reached in zip(network.layers, sums, potentials, strict=True)
    ]


def _with_neuron(network: Network, neuron: Neuron) -> Network:
    layers: list[Layer] = [replace(layer, neuron=neuron) for layer in network.layers]
    return replace(network, layers=tuple(layers))


def _magnitude(values: NDArray[Any]) -> int:
    return int(max(-values.min(), values.max(), 0))
