# SPDX-License-Identifier: Apache-2.0
"""Networks of LIF neurons that were trained as such: accuracy, and operations from their spikes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stemcore.golden.network.forward import fan_out
from stemcore.golden.network.network import Connection, Population
from stemcore.models.checkpoint import checkpoint_path, load_into
from stemcore.models.registry import MODELS, ModelSpec
from stemcore.models.tasks import measure_accuracy

from .score import binomial_error

Layers = dict[str, nn.Module]


class SopMeter:
    """Counts the synaptic operations of a spiking torch network's hidden layers, exactly.

    Every spike that enters a convolution or dense layer, at whatever time step, counts the synapses
    that it meets there (:func:`stemcore.golden.network.forward.fan_out`: none in the padding). The
    first of these layers, which receives the image, and the last are left out. Use as a context:
    the module is as before afterwards.

    Attributes
    ----------
    sops : dict from a layer's name to int
        Of all images since the beginning.
    """

    def __init__(self, module: nn.Module):
        named: Layers = {
            name: part
            for name, part in module.named_modules()
            if isinstance(part, nn.Conv2d | nn.Linear)
        }
        hidden = list(named.items())[1:-1]
        self.sops = {name: 0 for name, _ in hidden}
        self._hooks = [
            part.register_forward_hook(
                lambda part, inputs, _, name=name: self._add(name, part, inputs[0])
            )
            for name, part in hidden
        ]

    def _add(self, name: str, part: Any, x: torch.Tensor) -> None:
        x = x.detach()
        if not ((x == 0) | (x == 1)).all():
            raise ValueError(
                f"{name}: must receive spikes, 0 or 1, to count operations; values from "
                f"{float(x.min()):g} to {float(x.max()):g} came; put a spiking layer before it"
            )
        spikes = x.reshape(*x.shape[:2], *(x.shape[2:] or (1, 1)))
        # Sums of one image's channels are exact in float32, those of a batch in float64.
        received = spikes.float().sum(1).double().sum(0).numpy().astype(np.int64)
        source = Population(name, tuple(spikes.shape[1:]), 1, False)
        self.sops[name] += int((received * fan_out(_connection(name, part), source)).sum())

    def __enter__(self) -> "SopMeter":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


def _connection(name: str, part: Any) -> Connection:
    """The layer's synapses without their weights, of which a count needs the shape alone."""
    shape = tuple(part.weight.shape) if part.weight.ndim == 4 else (*part.weight.shape, 1, 1)
    synapses = np.ones(shape, np.int8)
    if isinstance(part, nn.Linear):
        return Connection(name, synapses)
    if isinstance(part.padding, str) or part.dilation != (1, 1):
        raise ValueError(
            f"{name}: padding must be numbers and dilation 1, got {part.padding!r} and "
            f"{part.dilation}; state the padding of each side"
        )
    return Connection(name, synapses, tuple(part.stride), tuple(part.padding), part.groups)


def trained_forms(model: str, dataset: str) -> dict[str, tuple[ModelSpec, Path]]:
    """The spiking forms of a ReLU network that have weights for a data set, by their code."""
    forms = {
        spec.name.removeprefix(f"{model}_"): (spec, checkpoint_path(spec.name, dataset))
        for spec in MODELS.values()
        if spec.relu_model == model
    }
    return {code: (spec, path) for code, (spec, path) in forms.items() if path.is_file()}


def training_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """Epochs, and the float network's accuracy in percent on all test images, of a weight file."""
    return {
        "epochs": metadata["epochs"],
        "all": {"score": 100 * metadata["test_accuracy"], "images": metadata["test_images"]},
    }


def measure_integration(
    spec: ModelSpec,
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    batch: int,
) -> dict[str, Any]:
    """Accuracy in percent, mean operations per image of every hidden layer, and the training."""
    module = spec.build(n_classes=len(class_names))
    metadata = load_into(module, path, model=spec.name)
    with SopMeter(module) as meter:
        accuracy = measure_accuracy(module, images, labels, batch)
    return {
        "score": 100 * accuracy,
        "error": binomial_error(100 * accuracy, len(images)),
        "images": len(images),
        "sops": {name: count / len(images) for name, count in meter.sops.items()},
        **training_of(metadata),
    }
