# SPDX-License-Identifier: Apache-2.0
"""A vector that becomes an image, as in front of the convolutions of a decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .operator import IntArray, Operator, Shape, arranges
from .transposed_convolution import TransposedConv

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Unflatten(Operator):
    """``y[c, i, j] = x[features[c, i, j]]``, of a vector."""

    features: IntArray

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        channels, height, width = self.features.shape
        return channels, height, width

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return inputs[0].flatten(1)[:, self.features]

    def as_convolution(self, source: Shape) -> TransposedConv:
        """A kernel as large as the image, with one weight of 1 in each place."""
        channels, height, width = self.features.shape
        weight = np.zeros((channels, source[0], height, width))
        c, y, x = np.indices(self.features.shape)
        weight[c, self.features, y, x] = 1
        return TransposedConv(weight, np.zeros(channels))


@arranges
def _unflatten(positions: IntArray, source: Shape) -> Operator | None:
    is_image = positions.shape[1:] != (1, 1)
    return Unflatten(positions) if is_image and source[1:] == (1, 1) else None
