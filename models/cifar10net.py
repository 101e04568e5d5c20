# SPDX-License-Identifier: Apache-2.0
"""CIFAR10Net: six convolutions, two dense layers, and classes that are voted by ten neurons each.

The layer list is the one published with SDANN (arXiv 2505.12221): 2 x (3 x conv3x3-256-BN, pool 2),
FC 2048, FC 100, average over groups of 10.
"""

import torch
from torch import nn

VOTERS = 10


class Vote(nn.Linear):
    """Average of each group of ``VOTERS`` neighbouring features; nothing in it is trained.

    Input: (N, VOTERS * n_classes). Output: (N, n_classes).
    """

    def __init__(self, n_classes):
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

    Input: float32 (N, 3, 32, 32) of :func:`models.data.to_float_input`.
    Output: (N, n_classes), not negative: averages of rectified neurons.
    """

    def __init__(self, width=256, hidden=2048, n_classes=10):
        super().__init__()
        layers, n_in = [], 3
        for _ in range(2):
            for _ in range(3):
                layers += [nn.Conv2d(n_in, width, 3, padding=1, bias=False),
                           nn.BatchNorm2d(width), nn.ReLU()]
                n_in = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(
            *layers, nn.Flatten(),
            nn.Linear(width * 8 * 8, hidden), nn.ReLU(),
            nn.Linear(hidden, VOTERS * n_classes), nn.ReLU(),
            Vote(n_classes))

    def forward(self, x):
        return self.layers(x)


def build_cifar10net(n_classes=10):
    """The published width: 36.7M parameters, 1.7G multiply-accumulates."""
    return Cifar10Net(n_classes=n_classes)


def build_cifar10net_64(n_classes=10):
    """A quarter as wide: 1.3M parameters, 107M multiply-accumulates."""
    return Cifar10Net(width=64, hidden=256, n_classes=n_classes)
