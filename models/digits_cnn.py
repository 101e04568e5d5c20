# SPDX-License-Identifier: Apache-2.0
"""A small network for tests: every kind of layer the compiler must take, in 12k parameters."""

import torch
from torch import nn


class DigitsCnn(nn.Module):
    """Three 3 x 3 convolutions and a classifier for 1 x 8 x 8 digits.

    The first convolution has batch norm and no bias, the others a bias and no batch norm, and the
    pooling is an average, so that each kind of layer is captured and lowered at least once.

    Input: float32 (N, 1, 8, 8) of :func:`data.to_float_input`. Output: logits (N, 10).
    """

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, n_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build_digits_cnn(n_classes: int = 10) -> nn.Module:
    """The registered network: 1 x 8 x 8 in, ten logits out for ten classes."""
    return DigitsCnn(n_classes)
