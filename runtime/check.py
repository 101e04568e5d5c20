# SPDX-License-Identifier: Apache-2.0
"""`make check`: torch against golden on every integer; accuracy of the quantized network."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network

from .engines.compare import compare_values
from .prepare import CALIBRATION_IMAGES, Prepared, Settings, float_accuracy, prepare, torch_values
from .report.accuracy import measure, metric_of
from .report.integration_effects import compare_integrations

# Values of all layers, of one batch, that are compared at a time.
BATCH_IMAGES, BATCH_VALUES = 100, 1 << 25


def check_count(n_images: int, prepared: Prepared) -> None:
    """Raises ``ValueError`` unless there are so many test images."""
    n_available = len(prepared.integers)
    if not 1 <= n_images <= n_available:
        raise ValueError(
            f"IMAGES: must lie in 1..{n_available}, the test images of "
            f"{prepared.settings.dataset}; got {n_images}"
        )


def real_outputs(network: Network, outputs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Integers of the output layer as the real numbers that they stand for."""
    return outputs * network.scales[network.output.name]


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


def check_all(settings: Settings, *, n_images: int | None = None) -> dict[str, Any]:
    """Torch against golden on every integer of every layer, over the test set.

    With integration in 16 bits also what that changes (:func:`compare_integrations`).

    Raises :class:`Difference` at the first one; returns accuracy figures.
    """
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        # A number that is refused below is told how many there are.
        n_test=n_images if n_images and n_images > 0 else None,
    )
    n = len(prepared.integers) if n_images is None else n_images
    check_count(n, prepared)
    network = prepared.exact
    layers = [layer.population for layer in network.layers]
    outputs, compared = [], 0
    for batch in batches(prepared, n):
        golden = run_network(network, batch, acc_width=prepared.exact_width)
        compare_values(
            layers, torch_values(prepared.quantized, batch), golden, names=("torch", "golden")
        )
        compared += sum(golden[layer.name].size for layer in layers)
        outputs.append(golden[network.output.name])
    return {
        "model": settings.model,
        "dataset": settings.dataset,
        "data": prepared.dataset.provenance,
        "weights": prepared.weights,
        "images": n,
        "integers_equal": compared,
        "metric": metric_of(prepared.dataset),
        "float": float_accuracy(prepared, n),
        "quantized": measure(prepared.dataset, real_outputs(network, np.concatenate(outputs))),
        **(
            {"integration": compare_integrations(prepared, batches(prepared, n))}
            if prepared.params.is_stepped
            else {}
        ),
    }
