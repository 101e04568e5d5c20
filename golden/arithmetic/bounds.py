# SPDX-License-Identifier: Apache-2.0
"""Bounds of weighted sums: what any values within their limits can add up to."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int64, np.float64)


def sum_bounds(
    weight: NDArray[Number], low: int, high: int
) -> tuple[NDArray[Number], NDArray[Number]]:
    """Smallest and largest ``sum_j w[c, j] x[j]`` for each c, over all x in ``low .. high``.

    weight : int64 or float64 array (C, ..); returns two arrays (C,) of the same type.

    Where ``low <= 0 <= high`` no partial sum, in whatever order, lies outside.
    """
    rows = weight.reshape(len(weight), -1)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    return low * positive + high * negative, high * positive + low * negative
