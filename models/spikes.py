# SPDX-License-Identifier: Apache-2.0
"""Training for few spikes: what a network's spikes will cost, as a function with gradients.

An activation x becomes the integer ``q = round(x / s)``, and fires one spike for every one-bit. The
number of ones is no smooth function; over the integers up to q it is ``log2(1 + q) / 2`` on
average, half of the bits that q has. That average stands for it, with ``s`` such that the batch's
largest activation is the largest integer. A spike costs as many synaptic operations as it has
synapses, so that layers weigh as their multiply-accumulates.
"""

from typing import Self

import torch
from torch import nn

TOP = 255  # largest 8-bit activation
SMALLEST = 1e-12  # a layer whose largest activation is smaller is silent


def expected_ones(x: torch.Tensor, top: int = TOP) -> torch.Tensor:
    """Mean one-bits of activations (0 and above) on a scale where the largest is ``top``.

    x : tensor, any shape; returns a scalar tensor in 0..4 with gradients. The scale has none.
    """
    largest = x.detach().float().max().clamp_min(SMALLEST)
    return torch.log2(1 + x.float().clamp_min(0) * (top / largest)).mean() / 2


class SpikeMeter:
    """Counts the spikes that enter the convolutions and dense layers of a module.

    Inputs that no gradient reaches (the image) are left out. Use as a context: the module is as
    before afterwards.
    """

    def __init__(self, module: nn.Module) -> None:
        self._total: torch.Tensor | float = 0.0
        self._macs = 0
        self._hooks = [
            part.register_forward_hook(self._record_input)
            for part in module.modules()
            if isinstance(part, nn.Conv2d | nn.Linear)
        ]

    def _record_input(
        self, layer: nn.Conv2d | nn.Linear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        x = inputs[0]
        if not x.requires_grad:
            return
        positions = output[0].numel() // output.shape[1]
        macs = layer.weight.numel() * positions
        self._total = self._total + macs * expected_ones(x)
        self._macs += macs

    def take(self) -> torch.Tensor | float:
        """Expected synaptic operations per multiply-accumulate since the last call: a scalar."""
        found = self._total / max(self._macs, 1)
        self._total, self._macs = 0.0, 0
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()
