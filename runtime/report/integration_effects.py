# SPDX-License-Identifier: Apache-2.0
"""What integration in 16 bits does to a network: accuracy, and activations that change."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.lowering.integrate import describe
from stemcore.golden.network.forward import Forward

from ..prepared import Prepared
from .accuracy import measure


def compare_integrations(
    prepared: Prepared, batches: Iterable[NDArray[np.int64]]
) -> dict[str, Any]:
    """The cores' integration mode against the exact one, on test images from the first on.

    ``accuracy`` is that of the mode, on all of them; ``changed`` the share of activations, by
    layer, that differ from exact integration; ``changed_alone`` likewise with exact inputs to every
    layer, so that differences do not spread.
    """
    exact = Forward(prepared.exact, acc_width=prepared.exact_width)
    stepped = Forward(prepared.network)
    names = [layer.name for layer in prepared.exact.layers]
    changed, alone, size = (dict.fromkeys(names, 0) for _ in range(3))
    outputs = []
    for batch in batches:
        wanted, got = exact.run(batch), stepped.run(batch)
        by_itself = _layers_alone(stepped, wanted)
        for name in names:
            changed[name] += int((wanted[name] != got[name]).sum())
            alone[name] += int((wanted[name] != by_itself[name]).sum())
            size[name] += wanted[name].size
        outputs.append(got[names[-1]])
    integers = np.concatenate(outputs)
    return {
        "mode": prepared.settings.integration or prepared.params.integration,
        "constants": describe(prepared.network),
        "accuracy": measure(prepared.dataset, integers * prepared.exact.scales[names[-1]]),
        "images": len(integers),
        "changed": {name: changed[name] / size[name] for name in names},
        "changed_alone": {name: alone[name] / size[name] for name in names},
    }


def _layers_alone(
    network: Forward, exact: dict[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.float32]]:
    """Every layer's activations (N, C, H, W) from the exact ones of its sources."""
    values = {
        name: np.ascontiguousarray(array.transpose(0, 2, 3, 1), np.float32)
        for name, array in exact.items()
    }
    alone = {}
    for prepared_layer in network.layers:
        name = prepared_layer.layer.name
        result = prepared_layer.run(values, keep_potentials=False).values
        # A skip buffer's value is its source's; the layers after it read it.
        values.setdefault(name, result)
        alone[name] = result.transpose(0, 3, 1, 2)
    return alone
