# SPDX-License-Identifier: Apache-2.0
"""Calibration: from the values of calibration images to the real value of one unit of each layer.

``max``         the widest range: nothing that calibration has shown is clipped
``percentile``  the range holds so many per cent of the magnitudes; ``percentile:99.9``
``mse``         of the ranges from the widest to a fraction of it, the one with the least squared
                error

A range up to r gives the scale r / top, where top is the layer's largest integer; in the exact
profile the next power of two that is not smaller. Weights are not calibrated: theirs is always the
least squared error (:func:`stemcore.compiler.quantization.scales.weight_scales`).
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stemcore.nearest import did_you_mean

from ..errors import QuantizeError
from .quantized import EXACT, GENERAL, PAPER

MAX, PERCENTILE, MSE = METHODS = ("max", "percentile", "mse")
DEFAULT_METHOD = {EXACT: MSE, GENERAL: MSE, PAPER: MAX}
DEFAULT_PERCENTILE = 99.99
_HALF = 16  # bits of a float32 that one pass over the values tells apart


@dataclass(frozen=True)
class Method:
    """One of ``METHODS``, with its percentile, above 0 and at most 100."""

    kind: str
    percentile: float = 100.0

    def __str__(self) -> str:
        return f"{self.kind}:{self.percentile:g}" if self.kind == PERCENTILE else self.kind

    @property
    def is_widest(self) -> bool:
        """Whether the scale follows from the range alone, with nothing in it clipped."""
        return self.kind != MSE


def parse_method(text: str | None, profile: str = EXACT) -> Method:
    """What a user says, None and nothing for the profile's own; ``QuantizeError`` otherwise."""
    kind, colon, number = (text or DEFAULT_METHOD.get(profile, MSE)).partition(":")
    if kind not in METHODS or (colon and kind != PERCENTILE):
        raise QuantizeError(
            "calibration",
            f"must be {', '.join(METHODS[:-1])} or {METHODS[-1]}, the percentile as in "
            f"{PERCENTILE}:99.9, got {text!r}" + did_you_mean(kind, METHODS),
        )
    if kind != PERCENTILE:
        return Method(kind)
    try:
        percentile = float(number) if colon else DEFAULT_PERCENTILE
    except ValueError:
        percentile = math.nan
    if not 0 < percentile <= 100:
        raise QuantizeError(
            "calibration", f"a percentile must be above 0 and at most 100, got {number!r}"
        )
    return Method(kind, percentile)


Key = TypeVar("Key", bound=Hashable)


def percentiles(
    batches: Callable[[], Iterable[Mapping[Key, NDArray[np.float32]]]], percent: float
) -> dict[Key, float]:
    """Percentiles of magnitudes, by name: the smallest that ``percent`` of all do not exceed.

    Exact: ``numpy.percentile(.., method="inverted_cdf")`` of all values together. Magnitudes of
    float32 are ordered like their bits, so that two counts of 16 bits each find the one that is
    sought, whatever the number of values.

    Parameters
    ----------
    batches : function
        Gives the values by name, batch by batch, twice the same.
    """
    high: dict[Key, NDArray[np.int64]] = {}
    for batch in batches():
        for name, values in batch.items():
            found = _count(_bits(values) >> _HALF)
            high[name] = high[name] + found if name in high else found
    sought = {}
    for name, counts in high.items():
        rank = math.ceil(Fraction(str(percent)) / 100 * int(counts.sum()))
        sums = np.cumsum(counts)
        top = int(np.searchsorted(sums, rank))
        sought[name] = top, rank - int(sums[top] - counts[top])
    low = {name: np.zeros(1 << _HALF, np.int64) for name in high}
    for batch in batches():
        for name, values in batch.items():
            bits = _bits(values)
            low[name] += _count(bits[bits >> _HALF == sought[name][0]] & ((1 << _HALF) - 1))
    result = {}
    for name, (top, rank) in sought.items():
        bits = np.array([top << _HALF | int(np.searchsorted(np.cumsum(low[name]), rank))])
        result[name] = float(bits.astype(np.uint32).view(np.float32)[0])
    return result


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    magnitudes = np.ascontiguousarray(np.abs(values), np.float32)
    return magnitudes.reshape(-1).view(np.uint32)


def _count(halves: NDArray[np.integer]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.bincount(halves, minlength=1 << _HALF).astype(np.int64)
    return counts
