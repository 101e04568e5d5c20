# SPDX-License-Identifier: Apache-2.0
"""Bounds of weighted sums: what any values within their limits can add up to."""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

CACHED_ELEMENTS = 1 << 15  # of arrays that are worked through piece by piece

Number = TypeVar("Number", np.int64, np.float64)


def sum_bounds(
    weight: NDArray[Number], low: int, high: int
) -> tuple[NDArray[Number], NDArray[Number]]:
    """Smallest and largest ``sum_j w[c, j] x[j]`` for each c, over all x in ``low .. high``.

    weight : int64 or float64 array (C, ..); returns two arrays (C,) of the same type.

    Where ``low <= 0 <= high`` no partial sum, in whatever order, lies outside.
    """
    positive, negative = signed_sums(weight)
    return low * positive + high * negative, high * positive + low * negative


def signed_sums(
    weight: NDArray[Any], dtype: DTypeLike | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sum of the positive and sum of the negative weights of every channel.

    weight : array (C, ..); returns two arrays (C,) of ``dtype``, or of the weights' type.
    """
    rows = weight.reshape(len(weight), -1)
    positive, negative = np.zeros((2, len(rows)), dtype or weight.dtype)
    for few in row_ranges(rows):
        # As wide as the sums before they are added up: numpy adds narrow integers one by one.
        part = rows[few].astype(positive.dtype, copy=False)
        np.maximum(part, 0).sum(axis=1, out=positive[few])
        np.minimum(part, 0).sum(axis=1, out=negative[few])
    return positive, negative


def row_ranges(rows: NDArray[Any]) -> Iterator[slice]:
    """Slices of the first axis, so few rows each that what is made of them stays in a cache."""
    step = max(1, CACHED_ELEMENTS // max(1, rows[:1].size))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)
