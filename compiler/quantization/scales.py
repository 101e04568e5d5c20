# SPDX-License-Identifier: Apache-2.0
"""Choice of scales: the real value of one integer unit of weights, sums and activations."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.bounds import row_ranges
from stemcore.golden.arithmetic.fixed import MAX_SHIFT

from ..frontend.ops.operator import FloatArray

IntArray = NDArray[np.int64]

MAX_TOTAL_SHIFT = 15  # left shift of a weight, T-1-t+h, in four bits
SHIFTS = (0, 4, 8)  # left shifts of a connection; finer steps go into the weights
MAX_COMBINATIONS = 3**8  # of shifts that are all tried; of more connections, the promising ones
MAX_IDENTITY, MAX_IDENTITY_EXACT = 127, 64  # weights of an identity


def power_above(value: FloatArray | float) -> FloatArray:
    """Smallest power of two that is not below ``value`` (positive)."""
    mantissa, exponent = np.frexp(value)
    power: FloatArray = np.ldexp(1.0, exponent - (mantissa == 0.5))
    return power


def power_below(value: FloatArray | float) -> FloatArray:
    """Largest power of two that is not above ``value`` (positive)."""
    power: FloatArray = np.ldexp(1.0, np.frexp(value)[1] - 1)
    return power


def scale_candidates(largest: float, top: int, is_exact: bool) -> FloatArray:
    """Scales to try for values up to ``largest``, represented by 0..``top``; the widest first."""
    widest = (largest if largest > 0 else 1.0) / top
    if is_exact:
        return power_above(widest) * 0.5 ** np.arange(5)
    return widest * np.linspace(1.0, 0.25, 16)


def weight_scales(
    weight: FloatArray, top: int, *, per_channel: bool, is_exact: bool, is_widest: bool = False
) -> FloatArray:
    """Scale of every output channel (axis 0) with the least squared error for -top..top.

    ``is_widest``: the scale of the largest weight instead, which clips none.

    Channels without weights get the largest of the others'; a tensor of zeros gets zeros.
    """
    rows = weight.reshape(len(weight), -1)
    if not per_channel:
        rows = rows.reshape(1, -1)
    largest = np.abs(rows).max(axis=1)
    alive = largest > 0
    if not alive.any():
        return np.zeros(len(weight))
    rows, widest = rows[alive], largest[alive] / top
    if is_widest:
        tries = [widest]
    else:
        # The fewer integers there are, the more it pays to clip the largest weights.
        few = top < MAX_IDENTITY
        shares = (0.5 ** np.arange(6 if few else 3)) if is_exact else np.linspace(1.0, 0.6, 9)
        if few and not is_exact:
            shares = np.linspace(1.0, 0.1, 46)
        tries = [(power_above(widest) if is_exact else widest) * share for share in shares]
    errors = [_squared_errors(rows, scales, top) for scales in tries]
    best = np.asarray(tries)[np.argmin(errors, axis=0), np.arange(len(rows))]
    chosen = np.full(len(largest), best.max())
    chosen[alive] = best
    return np.broadcast_to(chosen, (len(weight),)).copy()


def _squared_errors(rows: FloatArray, scales: FloatArray, top: int) -> FloatArray:
    """Squared error of every row (C, K) as integers -top..top that are worth its scale (C,)."""
    errors = np.zeros(len(rows))
    for few in row_ranges(rows):
        exact, unit = rows[few], scales[few, None]
        rounded = exact / unit
        np.rint(rounded, out=rounded)
        np.clip(rounded, -top, top, out=rounded)
        rounded *= unit
        np.subtract(exact, rounded, out=rounded)
        np.square(rounded, out=rounded).sum(axis=1, out=errors[few])
    return errors


@dataclass(frozen=True, eq=False)
class Operand:
    """What the choice of the accumulator's scale has to know of one connection.

    ``weight_scale`` is the finest useful scale of the weights per channel, or None for an identity,
    whose weight is any integer 1..127 (exact profile: a power of two).
    """

    source_scale: float
    max_shift: int
    weight_scale: FloatArray | None
    fan_in: int = 1


@dataclass(frozen=True, eq=False)
class Alignment:
    """Scale of the accumulator per channel, and the left shift of every connection."""

    acc_scale: FloatArray
    shifts: tuple[int, ...]


def align(
    operands: Sequence[Operand], least: FloatArray, most: float, is_exact: bool
) -> Alignment | None:
    """How all connections of a layer add into one accumulator, with the least rounding noise.

    The accumulator's scale of channel c lies in ``least[c]..most``. None where no left shifts of
    the connections allow a common scale.
    """
    choices = [[h for h in SHIFTS if h <= operand.max_shift] for operand in operands]
    bounds = _Bounds(operands, least, most, is_exact)

    def rated(shifts: tuple[int, ...]) -> _Rated | None:
        acc_scale = bounds.acc_scale(shifts)
        if acc_scale is None:
            return None
        # A power of two in every term stands before the sum as well, to the last bit.
        square = float(np.square(acc_scale).sum())
        noise = sum(
            operand.fan_in * 4.0**h * square
            for operand, h in zip(operands, shifts, strict=True)
            if operand.weight_scale is not None
        )
        return noise, sum(shifts), Alignment(acc_scale, shifts)

    if math.prod(map(len, choices)) <= MAX_COMBINATIONS:
        found = [rated(shifts) for shifts in itertools.product(*choices)]
    else:
        starts = _shifts_for_levels(operands, choices, is_exact)
        found = [_improved(rated, shifts, choices) for shifts in starts]
    best = min((one for one in found if one is not None), key=lambda one: one[:2], default=None)
    return None if best is None else best[2]


_Rated = tuple[float, int, Alignment]  # noise, sum of the shifts


def _shifts_for_levels(
    operands: Sequence[Operand], choices: Sequence[Sequence[int]], is_exact: bool
) -> Iterator[tuple[int, ...]]:
    """For each scale that some operand asks of the accumulator, the least shifts of all others
    with which they ask for no more.

    With one scale for all channels the best shifts are among these: where another operand had a
    larger shift, a smaller one would have less noise at the same scale.
    """

    def level(operand: Operand, h: int) -> FloatArray:
        widest = MAX_IDENTITY_EXACT if is_exact else MAX_IDENTITY
        scale = np.ones(1) / widest if operand.weight_scale is None else operand.weight_scale
        return scale * operand.source_scale / 2.0**h

    levels = [[level(o, h) for h in hs] for o, hs in zip(operands, choices, strict=True)]
    seen = set()
    for asked in itertools.chain.from_iterable(levels):
        shifts = tuple(
            next((h for h, one in zip(hs, ones, strict=True) if (one <= asked).all()), hs[-1])
            for hs, ones in zip(choices, levels, strict=True)
        )
        if shifts not in seen:
            seen.add(shifts)
            yield shifts


def _improved(
    rated: Callable[[tuple[int, ...]], _Rated | None],
    shifts: tuple[int, ...],
    choices: Sequence[Sequence[int]],
) -> _Rated | None:
    """The best that changes of one shift at a time lead to; None where there is no scale here."""
    best = rated(shifts)
    is_better = best is not None
    while best is not None and is_better:
        is_better = False
        for i, hs in enumerate(choices):
            for h in hs:
                now = best[2].shifts
                if h == now[i]:
                    continue
                other = rated((*now[:i], h, *now[i + 1 :]))
                if other is not None and other[:2] < best[:2]:
                    best, is_better = other, True
    return best


class _Bounds:
    """The accumulator's scales that each connection permits at each of its shifts."""

    def __init__(
        self, operands: Sequence[Operand], least: FloatArray, most: float, is_exact: bool
    ) -> None:
        self._least, self._most, self._is_exact = least, most, is_exact
        self._learned = any(operand.weight_scale is not None for operand in operands)
        # By connection and shift: the least scale of each channel, and the largest of an identity.
        self._low = np.empty((len(operands), len(SHIFTS), len(least)))
        self._high = np.full((len(operands), len(SHIFTS)), math.inf)
        widest = MAX_IDENTITY_EXACT if is_exact else MAX_IDENTITY
        for i, operand in enumerate(operands):
            for k, h in enumerate(SHIFTS):
                unit = operand.source_scale / 2.0**h
                if operand.weight_scale is None:
                    self._low[i, k], self._high[i, k] = unit / widest, unit
                else:
                    self._low[i, k] = operand.weight_scale * unit
        self._each = np.arange(len(operands))
        self._identities = [i for i, one in enumerate(operands) if one.weight_scale is None]

    def acc_scale(self, shifts: Sequence[int]) -> FloatArray | None:
        """Accumulator scale for given shifts: the finest that clips no weights; None if there is
        none.

        Without learned weights the coarsest, which keeps the sums small.
        """
        at = np.array([SHIFTS.index(h) for h in shifts], np.intp)
        low = np.maximum(self._least, self._low[self._each, at].max(axis=0, initial=-math.inf))
        most = min(self._most, float(self._high[self._each, at].min(initial=math.inf)))
        if self._is_exact:
            # Both bounds move inward to powers of two.
            low = np.where(low > 0, power_above(np.where(low > 0, low, 1.0)), 0.0)
            most = float(power_below(most)) if math.isfinite(most) else most
        if (low > most).any():
            return None
        acc_scale: FloatArray = low
        if not self._learned and math.isfinite(most):
            acc_scale = np.full(len(low), most)
        if self._identities and not self._is_exact:
            # The first identity is represented without error; others are rounded like weights.
            unit = self._high[self._identities[0], at[self._identities[0]]]
            acc_scale = unit / np.floor(unit / acc_scale * (1 + 1e-12))
        return acc_scale


def average_weight(
    ratio_shift: int, divisor: int, n_taps: int, limits: tuple[int, int], top: int
) -> tuple[int, int]:
    """Weight w and shift s with which ``round(w * sum / 2**s)`` is the rounded average.

    The average of ``n_taps`` values within ``limits`` is ``sum * 2**ratio_shift / divisor``, halves
    to even. Exact where the divisor is a power of two; elsewhere every sum is enumerated and
    the pair with the fewest differences wins.
    """
    sums = np.arange(n_taps * limits[0], n_taps * limits[1] + 1, dtype=np.int64)
    numerator = sums << max(ratio_shift, 0)
    ideal = _round_ratio(numerator, divisor << max(-ratio_shift, 0))
    best: tuple[int, int, int] | None = None
    for s in range(MAX_SHIFT + 1):
        w = round(2.0 ** (ratio_shift + s) / divisor)
        if w > top:
            break
        if w < 1:
            continue
        n_wrong = int((_round_ratio(sums * w, 1 << s) != ideal).sum())
        if best is None or n_wrong < best[0]:
            best = n_wrong, w, s
        if n_wrong == 0:
            break
    assert best is not None, "the ratio must not exceed 1"
    return best[1:]


def _round_ratio(numerator: IntArray, denominator: int) -> IntArray:
    """Integers nearest to a ratio, halves to even."""
    quotient, rest = np.divmod(numerator, denominator)
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient & 1 == 1))
    rounded: IntArray = quotient + up
    return rounded
