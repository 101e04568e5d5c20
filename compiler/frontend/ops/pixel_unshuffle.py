# SPDX-License-Identifier: Apache-2.0
"""Space to depth: blocks of pixels become channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .convolution import Conv
from .operator import IntArray, Operator, Shape, arranges

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PixelUnshuffle(Operator):
    """Channel ``(c * f + i) * f + j`` of the result is pixel (i, j) of every f x f block of c."""

    factor: int

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        channels, height, width = sources[0]
        return channels * self.factor**2, height // self.factor, width // self.factor

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.pixel_unshuffle(inputs[0], self.factor)

    def as_convolution(self, source: Shape) -> Conv:
        f = self.factor
        one_channel = np.eye(f * f).reshape(f * f, 1, f, f)
        weight = np.tile(one_channel, (source[0], 1, 1, 1))
        return Conv(weight, np.zeros(len(weight)), stride=(f, f), groups=source[0])


@arranges
def _pixel_unshuffle(positions: IntArray, source: Shape) -> Operator | None:
    channels, height, width = positions.shape
    factor = source[1] // height
    if factor < 2 or source != (channels // factor**2, height * factor, width * factor):
        return None
    split = np.arange(positions.size).reshape(source[0], height, factor, width, factor)
    taken = split.transpose(0, 2, 4, 1, 3).reshape(positions.shape)
    return PixelUnshuffle(factor) if np.array_equal(taken, positions) else None
