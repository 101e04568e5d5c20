# SPDX-License-Identifier: Apache-2.0
"""Depth to space: channels become blocks of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .operator import IntArray, Operator, Shape, arranges
from .transposed_convolution import TransposedConv

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PixelShuffle(Operator):
    """Pixel (i, j) of every f x f block of channel c is channel ``(c * f + i) * f + j``."""

    factor: int

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        channels, height, width = sources[0]
        return channels // self.factor**2, height * self.factor, width * self.factor

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.pixel_shuffle(inputs[0], self.factor)

    def as_convolution(self, source: Shape) -> TransposedConv:
        f = self.factor
        channels = source[0] // f**2
        one_channel = np.eye(f * f).reshape(1, f * f, f, f)
        weight = np.tile(one_channel, (channels, 1, 1, 1))
        return TransposedConv(weight, np.zeros(channels), stride=(f, f), groups=channels)


@arranges
def _pixel_shuffle(positions: IntArray, source: Shape) -> Operator | None:
    channels, height, width = positions.shape
    factor = height // source[1]
    if source[1:] == (1, 1):
        return None  # a vector, which Unflatten makes an image of; only one may claim it
    if factor < 2 or source != (channels * factor**2, height // factor, width // factor):
        return None
    split = np.arange(positions.size).reshape(channels, factor, factor, *source[1:])
    pixels = split.transpose(0, 3, 1, 4, 2).reshape(positions.shape)
    return PixelShuffle(factor) if np.array_equal(pixels, positions) else None
