# SPDX-License-Identifier: Apache-2.0
"""A residual network of nine convolutions behind a whitening one (arXiv 2404.00498)."""

from collections.abc import Sequence

import torch
from torch import nn

from .whitened import FIRST_CHANNELS, WhitenedNetwork, identity_convolution, plain_batch_norm

WIDTHS = (64, 192, 256)


class Block(nn.Module):
    """Halves the map, then adds to it what two convolutions make of it.

    Max pooling comes before the first batch norm, which commutes with it for want of a gain.

    Parameters
    ----------
    n_in, n_out : int
        Channels. Input (N, n_in, H, W), output (N, n_out, H // 2, W // 2), not negative.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.halve = nn.Sequential(
            identity_convolution(n_in, n_out), nn.MaxPool2d(2), plain_batch_norm(n_out), nn.ReLU()
        )
        self.change = nn.Sequential(
            identity_convolution(n_out, n_out),
            plain_batch_norm(n_out),
            nn.ReLU(),
            identity_convolution(n_out, n_out),
            plain_batch_norm(n_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.halve(x)
        return torch.relu(x + self.change(x))


def build_resnet10(n_classes: int = 10, widths: Sequence[int] = WIDTHS) -> nn.Module:
    """2.5M parameters, 0.10G multiply-accumulates for a 3 x 32 x 32 image.

    widths : channels of the three blocks.
    """
    channels = (FIRST_CHANNELS, *widths)
    blocks = [Block(*pair) for pair in zip(channels, widths, strict=False)]
    return WhitenedNetwork(blocks, widths[-1], n_classes)
