# SPDX-License-Identifier: Apache-2.0
"""CIFAR10Net: six convolutions, two dense layers, and classes that are voted by ten neurons each.

The layer list is the one published with SDANN (arXiv 2505.12221): 2 x (3 x conv3x3-256-BN, pool 2),
FC 2048, FC 100, average over groups of 10. With ReLU it is what runs on the chip; with LIF neurons
it is the directly trained spiking network that SDANN is compared with (its figure 12).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from .lif import LIF, Code, direct_code, position_code

VOTERS = 10
STEPS = 8  # time steps of the spiking networks, as many as the bits of an activation


class Vote(nn.Linear):
    """Average of each group of ``VOTERS`` neighbouring features; nothing in it is trained.

    Input: (N, VOTERS * n_classes). Output: (N, n_classes).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__(VOTERS * n_classes, n_classes, bias=False)
        self.weight.requires_grad_(False)
        with torch.no_grad():
            self.weight.copy_(torch.eye(n_classes).repeat_interleave(VOTERS, 1) / VOTERS)


class Cifar10Net(nn.Module):
    """Two groups of three convolutions, each ended by a 2 x 2 max pooling; dense layers; the vote.

    Parameters
    ----------
    width : int
        Channels of every convolution.
    hidden : int
        Width of the first dense layer.
    n_classes : int
    neuron : callable
        Makes the module after every layer but the vote.

    Input: float32 (N, 3, 32, 32) of :func:`stemcore.models.data.to_float_input`.
    Output: (N, n_classes), not negative: averages of rectified neurons.
    """

    def __init__(
        self,
        width: int = 256,
        hidden: int = 2048,
        n_classes: int = 10,
        neuron: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        layers, n_in = [], 3
        for _ in range(2):
            for _ in range(3):
                layers += [
                    nn.Conv2d(n_in, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    neuron(),
                ]
                n_in = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(width * 8 * 8, hidden),
            neuron(),
            nn.Linear(hidden, VOTERS * n_classes),
            neuron(),
            Vote(n_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class LifCifar10Net(Cifar10Net):
    """The same layers with LIF neurons, over T time steps.

    Parameters
    ----------
    code : callable
        ``code(images, steps)`` of :mod:`stemcore.models.lif`: what enters the first layer at every
        step.
    steps : int
        T.
    width, hidden, n_classes : int
        As for :class:`Cifar10Net`.

    Output: (N, n_classes), 0..T: spikes of a class's voters, the mean of the ten.
    """

    def __init__(self, code: Code, steps: int = STEPS, **sizes: int) -> None:
        super().__init__(**sizes, neuron=partial(LIF, steps))
        self.code, self.steps = code, steps
        # Nothing normalises what dense layers give: at torch's own scale no neuron would ever fire.
        for part in self.layers:
            if isinstance(part, nn.Linear) and part.weight.requires_grad:
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        votes = self.layers(self.code(x, self.steps))
        return votes.unflatten(0, (self.steps, -1)).sum(0)


def build_cifar10net(n_classes: int = 10) -> nn.Module:
    """The published width: 36.7M parameters, 1.7G multiply-accumulates."""
    return Cifar10Net(n_classes=n_classes)


def build_cifar10net_64(n_classes: int = 10) -> nn.Module:
    """A quarter as wide: 1.3M parameters, 107M multiply-accumulates."""
    return Cifar10Net(width=64, hidden=256, n_classes=n_classes)


def build_cifar10net_16(n_classes: int = 10) -> nn.Module:
    """A sixteenth as wide: 0.16M parameters, 7M multiply-accumulates."""
    return Cifar10Net(width=16, hidden=128, n_classes=n_classes)


def build_cifar10net_64_direct(n_classes: int = 10) -> nn.Module:
    """:func:`build_cifar10net_64` with LIF neurons and direct coding."""
    return LifCifar10Net(direct_code, width=64, hidden=256, n_classes=n_classes)


def build_cifar10net_64_position(n_classes: int = 10) -> nn.Module:
    """:func:`build_cifar10net_64` with LIF neurons and position coding."""
    return LifCifar10Net(position_code, width=64, hidden=256, n_classes=n_classes)


def build_cifar10net_16_direct(n_classes: int = 10) -> nn.Module:
    """:func:`build_cifar10net_16` with LIF neurons and direct coding."""
    return LifCifar10Net(direct_code, width=16, hidden=128, n_classes=n_classes)


def build_cifar10net_16_position(n_classes: int = 10) -> nn.Module:
    """:func:`build_cifar10net_16` with LIF neurons and position coding."""
    return LifCifar10Net(position_code, width=16, hidden=128, n_classes=n_classes)
