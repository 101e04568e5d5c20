# SPDX-License-Identifier: Apache-2.0
"""Space to depth: blocks of pixels become channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..fx import Call, captures
from .convolution import Conv
from .operator import Operator, Shape

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


@captures("pixel_unshuffle.default")
def _pixel_unshuffle(call: Call) -> Operator:
    return PixelUnshuffle(call.get(1, "downscale_factor"))
