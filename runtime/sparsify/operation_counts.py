# SPDX-License-Identifier: Apache-2.0
"""The golden engine with everything counted: outputs, spikes of every neuron, operations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.pipeline import Compilation
from stemcore.compiler.sparsity.tables import apply_tables, find_tables
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import Forward, fan_out
from stemcore.golden.network.network import INPUT, Network

from ..report.accuracy import predictions

CHUNK = 250


@dataclass(frozen=True)
class Measured:
    """A network on images: outputs (N, C, H, W), mean spikes of every neuron, mean operations."""

    outputs: NDArray[np.int64]
    activity: dict[str, NDArray[np.float64]]
    layer_sops: dict[str, float]

    @property
    def sops(self) -> float:
        """Synaptic operations per image."""
        return sum(self.layer_sops.values())

    @property
    def spikes(self) -> float:
        """Per image, of the layers; those that the host fires are not counted."""
        return float(sum(a.sum() for name, a in self.activity.items() if name != INPUT))

    def right(self, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which images' largest output is their label's."""
        is_right: NDArray[np.bool_] = predictions(self.outputs) == labels
        return is_right


def run_with_counts(
    network: Network,
    integers: NDArray[np.integer],
    acc_width: int,
    input_table: NDArray[np.int64] | None = None,
) -> Measured:
    """Runs the golden engine; ``input_table`` is what the host does to the images."""
    forward = Forward(network, acc_width=acc_width)
    total: dict[str, NDArray[np.int64]] = {}
    outputs = []
    for start in range(0, len(integers), CHUNK):
        images = integers[start : start + CHUNK].astype(np.int64)
        values = forward.run(images if input_table is None else apply(input_table, images))
        outputs.append(values[network.output.name])
        for name, array in values.items():
            spikes = count_spikes(array, network.population(name).bits).sum(axis=0)
            total[name] = total.get(name, 0) + spikes
    activity = {name: spikes / len(integers) for name, spikes in total.items()}
    sops = {
        layer.name: sum(
            float((activity[c.source].sum(axis=0) * fan_out(c, network.population(c.source))).sum())
            for c in layer.connections
        )
        for layer in network.layers
    }
    return Measured(np.concatenate(outputs), activity, sops)


def measure_choice(
    compilation: Compilation, choice: Mapping[str, str], integers: NDArray[np.integer]
) -> Measured:
    """The network with these tables on images that no table has touched."""
    tables = find_tables(compilation.quantized, choice)
    network = apply_tables(compilation.network, tables)
    width = compilation.options.params.acc_width
    return run_with_counts(network, integers, width, tables.get(INPUT))
