# SPDX-License-Identifier: Apache-2.0
"""Test images through golden, batch by batch, and how good its outputs are."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network

from ..prepared import Prepared
from .accuracy import measure

# Values of all layers, of one batch, that are held at a time.
BATCH_IMAGES, BATCH_VALUES = 100, 1 << 25


def check_count(n_images: int, prepared: Prepared, what: str = "IMAGES") -> None:
    """Raises ``ValueError`` unless there are so many test images."""
    n_available = len(prepared.integers)
    if not 1 <= n_images <= n_available:
        raise ValueError(
            f"{what}: must lie in 1..{n_available}, the test images of "
            f"{prepared.settings.data_shown}; got {n_images}"
        )


def real_outputs(network: Network, outputs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Integers of an output layer, the first one, as the real numbers that they stand for."""
    return np.multiply(outputs, network.scales[network.output.name], dtype=np.float64)


def first_output(network: Network, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first output (N, C, H, W), which labels are of, among all that the host received."""
    return network.split(outputs)[network.output.name]


def golden_accuracy(prepared: Prepared, n_images: int) -> float:
    """Accuracy or mAP of the quantized network, exact, on the first test images, in golden."""
    network, output = prepared.exact, prepared.exact.output.name
    outputs = [
        run_network(network, batch, acc_width=prepared.exact_width, keep={output})[output]
        for batch in batches(prepared, n_images)
    ]
    return measure(prepared.dataset, real_outputs(network, np.concatenate(outputs)))


def batches(prepared: Prepared, n_images: int) -> Iterator[NDArray[np.int64]]:
    """The first test images, as many at a time as memory holds all layers of."""
    n_values = sum(int(np.prod(layer.out_shape)) for layer in prepared.network.layers)
    size = max(1, min(BATCH_IMAGES, BATCH_VALUES // n_values))
    for start in range(0, n_images, size):
        yield prepared.integers[start : min(start + size, n_images)]
