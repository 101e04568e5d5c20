# SPDX-License-Identifier: Apache-2.0
"""`make check`: torch against golden on every integer; accuracy of the quantized network."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.golden.network.forward import run_network

from .engines.compare import compare_values
from .prepare import prepare
from .prepared import float_accuracy, torch_values
from .progress import Progress
from .report.accuracy import measure, metric_of
from .report.evaluation import batches, check_count, real_outputs
from .report.fidelity import measure_fidelity
from .report.integration_effects import compare_integrations
from .report.names import compile_folder
from .report.screen import amount
from .settings import Settings


def check_all(
    settings: Settings,
    *,
    n_images: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], Progress] | None = None,
) -> dict[str, Any]:
    """Torch against golden on every integer of every layer, over the test set.

    With a neuron model that is not exact also what that changes (:func:`compare_integrations`).

    say : gets a line, ``name  text``, as each stage begins
    progress : gets the number of images, and returns what is told how many have been compared

    Raises :class:`Difference` at the first one; returns accuracy figures.
    """
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        # A number that is refused below is told how many there are.
        n_test=n_images if n_images and n_images > 0 else None,
        folder=compile_folder(settings),
        say=say,
    )
    n = len(prepared.integers) if n_images is None else n_images
    check_count(n, prepared)
    network = prepared.exact
    layers = [layer.population for layer in network.layers]
    say(f"compare      {amount(n, 'image')}: every integer of torch with golden's")
    tell = progress(n) if progress else None
    outputs, compared, done = [], 0, 0
    for batch in batches(prepared, n):
        golden = run_network(network, batch, acc_width=prepared.exact_width)
        compare_values(
            layers, torch_values(prepared.quantized, batch), golden, names=("torch", "golden")
        )
        compared += sum(golden[layer.name].size for layer in layers)
        outputs.append(golden[network.output.name])
        done += len(batch)
        if tell is not None:
            tell(done, 0)
    say(f"accuracy     float and quantized network on {amount(n, 'image')}")
    return {
        "model": settings.model,
        "dataset": settings.data_shown,
        "data": prepared.dataset.provenance,
        "weights": prepared.weights,
        "images": n,
        "integers_equal": compared,
        "metric": metric_of(prepared.dataset),
        "fidelity": measure_fidelity(prepared),
        "float": float_accuracy(prepared, n),
        "quantized": measure(prepared.dataset, real_outputs(network, np.concatenate(outputs))),
        **(
            {"integration": compare_integrations(prepared, batches(prepared, n))}
            if not prepared.params.model.is_exact
            else {}
        ),
    }
