# SPDX-License-Identifier: Apache-2.0
"""Training under activation tables: a network learns with the values that its spikes will carry.

A table of ``2**bits`` integers replaces each activation on the chip. During training the inputs of
convolutions and dense layers are replaced by what the table makes of them, ``s * table[round(x /
s)]``, and gradients pass as if nothing had been (straight-through estimator, Bengio et al., arXiv
1308.3432). ``s`` is a power of two for each layer, as in the exact profile, the one with the least
squared error on training images.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

CANDIDATES = 4  # powers of two, from the one that clips nothing down
SMALLEST = 1e-12  # a layer whose largest activation is smaller is silent
IMAGES = 256  # training images by which scales are chosen


@dataclass(frozen=True)
class TrainingTable:
    """What the activation table is called, and its ``2**bits`` unsigned values."""

    name: str
    entries: tuple[int, ...]


def scale_of(x: torch.Tensor, top: int) -> float:
    """The power of two with the least squared error of x (0 and above) in integers of 0..top.

    Ties go to the larger one. Of a silent layer, 1.
    """
    x = x.float()
    largest = float(x.max())
    if largest < SMALLEST:
        return 1.0
    first = float(torch.tensor(largest / top).log2().ceil().exp2())
    scales = [first / 2**i for i in range(CANDIDATES)]
    errors = [float(((x / s).round().clamp(max=top) * s - x).square().sum()) for s in scales]
    return scales[errors.index(min(errors))]


class SimulatedTable:
    """Puts a table before the convolutions and dense layers of a module, apart from its own input.

    Inputs that are negative somewhere in ``images`` are left as they are. Use as a context: the
    module is as before afterwards.

    Parameters
    ----------
    module : nn.Module
    table : TrainingTable
    images : float tensor (N, C, H, W)
        Training images, by which scales are chosen, on the module's device; the module is used in
        evaluation mode for it, and its mode restored.
    """

    def __init__(self, module: nn.Module, table: TrainingTable, images: torch.Tensor) -> None:
        self._table = torch.tensor(table.entries, dtype=torch.float32, device=images.device)
        self.scales: dict[nn.Module, float] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]

        def choose(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0]
            if x is not images and float(x.min()) >= 0:
                self.scales[layer] = scale_of(x, len(table.entries) - 1)

        was_training = module.training
        hooks = [layer.register_forward_pre_hook(choose) for layer in layers]
        with torch.no_grad():
            module.eval()(images)
        module.train(was_training)
        for hook in hooks:
            hook.remove()
        self._hooks = [layer.register_forward_pre_hook(self._replace) for layer in self.scales]

    def _replace(
        self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        x, *others = inputs
        with torch.no_grad():
            scale = self.scales[layer]
            codes = (x.float() / scale).round_().clamp_(0, len(self._table) - 1)
            error = (self._table[codes.int()] * scale).to(x.dtype) - x
        return (x + error, *others)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()
