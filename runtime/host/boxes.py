# SPDX-License-Identifier: Apache-2.0
"""Sets of neurons as few boxes of channels, rows and columns."""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int, int]
Box = tuple[Corner, Corner]  # both ends included


def cover_boxes(neurons: NDArray[np.bool_]) -> list[Box]:
    """Disjoint boxes that hold exactly the neurons (C, H, W) that are set; none where none is.

    Each box grows from the first neuron that is left, along one axis after the other as far as all
    are set. Of the orders of the axes the one with the fewest boxes is taken. A set that is a box
    gives one.
    """
    found = [_grown(neurons, axes) for axes in permutations(range(3))]
    return min(found, key=len)


def _grown(neurons: NDArray[np.bool_], axes: tuple[int, ...]) -> list[Box]:
    """The boxes, grown along the last of ``axes`` first."""
    left = neurons.transpose(axes).copy(order="C")  # the last of the axes grows first
    boxes: list[Box] = []
    while left.any():
        low = np.array(np.unravel_index(int(left.argmax()), left.shape))
        end = low + 1
        for axis in (2, 1, 0):
            while end[axis] < left.shape[axis]:
                layer = tuple(
                    slice(end[n], end[n] + 1) if n == axis else slice(low[n], end[n])
                    for n in range(3)
                )
                if not left[layer].all():
                    break
                end[axis] += 1
        left[tuple(slice(a, b) for a, b in zip(low, end, strict=True))] = False
        first, last = [0] * 3, [0] * 3
        for n, axis in enumerate(axes):
            first[axis], last[axis] = int(low[n]), int(end[n]) - 1
        boxes.append(((first[0], first[1], first[2]), (last[0], last[1], last[2])))
    return boxes
