# SPDX-License-Identifier: Apache-2.0
"""Values of one tensor in another arrangement: channels chosen, shuffled or cropped.

Capture follows views, permutations, splits and slices with an array of positions
(:mod:`stemcore.compiler.frontend.capture_moves`), and asks here which operator makes the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .convolution import Conv
from .layout import Flatten
from .operator import ARRANGEMENTS, IntArray, Operator, Pair, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Gather(Operator):
    """``y[k, i, j] = x[channels[k], i * stride[0] + rows[k], j * stride[1] + columns[k]]``.

    Attributes
    ----------
    channels, rows, columns : int64 (K,)
    stride : (y, x)
    size : (height, width)
        Of the result.
    """

    channels: IntArray
    rows: IntArray
    columns: IntArray
    stride: Pair
    size: Pair

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return len(self.channels), *self.size

    def selects_channels(self, source: Shape) -> bool:
        """Whether whole channels of a tensor of shape ``source`` are copied."""
        return self.size == source[1:] and not self.rows.any() and not self.columns.any()

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        import torch

        (x,) = inputs
        (sy, sx), (height, width) = self.stride, self.size
        rows = torch.from_numpy(self.rows)[:, None] + torch.arange(height) * sy
        columns = torch.from_numpy(self.columns)[:, None] + torch.arange(width) * sx
        channels = torch.from_numpy(self.channels)[:, None, None]
        return x[:, channels, rows[:, :, None], columns[:, None, :]]

    def as_convolution(self, source: Shape) -> Conv:
        """One tap of weight 1 an output channel; the kernel is as large as the size asks for."""
        kernel = [
            n - (m - 1) * s for n, m, s in zip(source[1:], self.size, self.stride, strict=True)
        ]
        n_outputs = len(self.channels)
        weight = np.zeros((n_outputs, source[0], *kernel))
        weight[np.arange(n_outputs), self.channels, self.rows, self.columns] = 1
        return Conv(weight, np.zeros(n_outputs), self.stride)


def arrangement(positions: IntArray, source: Shape) -> Operator | None:
    """The operator that brings values of a tensor into another order; None if there is none.

    Parameters
    ----------
    positions : int64 array of two dimensions (F, 1, 1) or three (C, H, W)
        For every element of the result, its position in the flattened source.
    source : (C, H, W)
    """
    if positions.shape[1:] == (1, 1) and positions.size > 1 and math.prod(source[1:]) > 1:
        order = positions.reshape(-1)
        if len(order) == math.prod(source) and len(np.unique(order)) == len(order):
            in_place = np.array_equal(order, np.arange(len(order)))
            return Flatten(None if in_place else order)
    for arrange in ARRANGEMENTS:
        op = arrange(positions, source)
        if op is not None:
            return op
    channels, rows, columns = np.unravel_index(positions, source)
    strides = []
    for axis, (places, length) in enumerate(((rows, source[1]), (columns, source[2])), 1):
        steps = np.diff(places, axis=axis)
        stride = int(steps.flat[0]) if steps.size else 1
        # A window beyond the last one would read behind the border.
        last = (positions.shape[axis] - 1) * stride
        if stride < 1 or (steps != stride).any() or last >= length:
            return None
        strides.append(stride)
    first = (slice(None), slice(0, 1), slice(0, 1))
    taken = (channels, rows, columns)
    if (channels != channels[first]).any():
        return None
    if (rows != rows[:, :, :1]).any() or (columns != columns[:, :1, :]).any():
        return None
    at = [array[:, 0, 0].astype(np.int64) for array in taken]
    size = (positions.shape[1], positions.shape[2])
    gather = Gather(at[0], at[1], at[2], (strides[0], strides[1]), size)
    kernel = gather.as_convolution(source).weight.shape[2:]
    return gather if at[1].max() < kernel[0] and at[2].max() < kernel[1] else None
