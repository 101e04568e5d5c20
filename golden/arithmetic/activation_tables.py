# SPDX-License-Identifier: Apache-2.0
"""Activation tables: pointwise functions of a finished activation that make its spikes fewer.

A table has ``2**bits`` int64 entries. The index is the low ``bits`` of the activation, the entry
the value that replaces it; both are signed (two's complement index, signed entry) or both unsigned.
Entries stay within the activation's limits; a signed index ``-2**(bits-1)``, which no activation
has, is treated as ``-(2**(bits-1)-1)``.
"""

from numbers import Real

import numpy as np

from ..spec.integers import limits
from .fixed import Int64Array
from .stem import count_spikes


def identity(bits: int, is_signed: bool = False) -> Int64Array:
    """The table that changes nothing: ``q' = q``."""
    if not 2 <= bits <= 8:
        raise ValueError(f"table: bits must lie in 2..8, got {bits}")
    index = np.arange(1 << bits, dtype=np.int64)
    if is_signed:
        index = np.where(index >> (bits - 1), index - (1 << bits), index)
    return np.maximum(index, limits(bits, is_signed)[0])


def rot(bits: int, r: int, is_signed: bool = False) -> Int64Array:
    """Rounding of the train's tail (paper eq. 22): the nearest multiple of ``2**r``.

    ``q' = floor((q + 2**(r-1)) / 2**r) * 2**r``: halves go up (towards plus infinity). Saturates at
    the largest (and, if signed, the smallest) multiple within the limits.
    """
    if not 0 <= r < bits:
        raise ValueError(f"rot: r must lie in 0..{bits - 1}, got {r}")
    low, high = limits(bits, is_signed)
    rounded = (identity(bits, is_signed) + ((1 << r) >> 1)) >> r
    table: Int64Array = np.clip(rounded, -(-low >> r), high >> r) << r
    return table


def drlo(bits: int, k: int, is_signed: bool = False) -> Int64Array:
    """The ``k`` highest one-bits of the activation's two's complement; the lower ones are dropped.

    Signed tables need ``k >= 2``: the sign bit alone would be ``-2**(bits-1)``, beyond the limits.
    """
    if not (2 if is_signed else 1) <= k <= bits:
        raise ValueError(f"drlo: k must lie in {2 if is_signed else 1}..{bits}, got {k}")
    table = []
    for value in identity(bits, is_signed).tolist():
        pattern = value & ((1 << bits) - 1)
        while pattern.bit_count() > k:
            pattern &= pattern - 1
        table.append(pattern - (1 << bits) if value < 0 else pattern)
    return np.array(table, np.int64)


def _best(bits: int, is_signed: bool, weight_of_ones: Real | float, max_ones: int) -> Int64Array:
    """``argmin over q' of (q - q')**2 + weight * ones(q')`` among values with few enough ones.

    Ties go to the value with fewer ones, then to the smaller one.
    """
    low, high = limits(bits, is_signed)
    values = np.arange(low, high + 1, dtype=np.int64)
    ones = count_spikes(values, bits)
    keep = ones <= max_ones
    values, ones = values[keep], ones[keep]
    order = np.lexsort((values, ones))
    values, ones = values[order], ones[order]
    distance = (identity(bits, is_signed)[:, None] - values) ** 2
    table: Int64Array = values[np.argmin(distance + float(weight_of_ones) * ones, axis=1)]
    return table


def nearest_ones(bits: int, k: int, is_signed: bool = False) -> Int64Array:
    """The nearest value with at most ``k`` one-bits; ties: fewer ones, then the smaller value."""
    if not 0 <= k <= bits:
        raise ValueError(f"nearest_ones: k must lie in 0..{bits}, got {k}")
    return _best(bits, is_signed, 0.0, k)


def rate_distortion(bits: int, lambda_: float, is_signed: bool = False) -> Int64Array:
    """``argmin over q' of (q - q')**2 + lambda_ * ones(q')``; ties: fewer ones, then smaller."""
    if not lambda_ >= 0:
        raise ValueError(f"rate_distortion: lambda_ must be at least 0, got {lambda_}")
    return _best(bits, is_signed, lambda_, bits)


def compose(first: Int64Array, second: Int64Array) -> Int64Array:
    """The table that applies ``first``, then ``second``: ``q' = second[first[q]]``."""
    if first.shape != second.shape:
        raise ValueError(
            f"compose: tables must have the same length, got {first.shape} and {second.shape}"
        )
    composed: Int64Array = second[first & (len(second) - 1)]
    return composed


def apply(table: Int64Array, values: Int64Array) -> Int64Array:
    """``table[q mod 2**bits]`` for every value."""
    found: Int64Array = table[np.asarray(values, np.int64) & (len(table) - 1)]
    return found
