# SPDX-License-Identifier: Apache-2.0
"""How connections with given scales and integers meet in one accumulator."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stemcore.golden.arithmetic.fixed import MAX_SHIFT
from stemcore.golden.network.taps import partial_bounds
from stemcore.golden.spec.integers import limits, signed_limits
from stemcore.golden.spec.widths import MULTIPLIER_WIDTH, WEIGHT_WIDTH

from ..errors import QuantizeError
from ..frontend.ops.fake_quantize import REQUANTIZE
from ..frontend.ops.layer import IDENTITY, Branch, Layer
from ..frontend.ops.operator import FloatArray
from .formats import Source
from .scales import MAX_TOTAL_SHIFT, SHIFTS, Alignment

MAX_WEIGHT = limits(WEIGHT_WIDTH, True)[1]
_GRID = 0.1  # how far from an integer a weight may lie: real numbers come from float32
_SAME = 1e-6  # relative difference of scales that are meant to be the same
_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, eq=False)
class Term:
    """A connection: real value of one unit of its integer products (O,), and the integers."""

    branch: Branch
    unit: FloatArray
    weights: FloatArray
    source: Source

    @property
    def largest(self) -> FloatArray:
        """Of the integers of every channel (O,), at least 1."""
        found: FloatArray = np.maximum(np.abs(self.weights).max(axis=(1, 2, 3)), 1.0)
        return found

    @property
    def shifts(self) -> tuple[int, ...]:
        """Left shifts that its weights may have."""
        return tuple(h for h in SHIFTS if h <= MAX_TOTAL_SHIFT - (self.source.bits - 1))


@dataclass(frozen=True, eq=False)
class Aligned:
    """Connections, their integer weights, and the accumulator that they meet in."""

    branches: tuple[Branch, ...]
    weights: tuple[FloatArray, ...]
    alignment: Alignment


def weight_step(name: str, branch: Branch) -> FloatArray:
    """What one integer of a connection's weights is worth (O,), positive.

    Raises ``QuantizeError`` for weights that are real numbers.
    """
    step = branch.step
    if step is None:
        # Weights of one magnitude a channel need no scale: a copy, a share, an average.
        magnitude = np.abs(branch.weight).reshape(len(branch.weight), -1)
        step = np.asarray(magnitude.max(axis=1), np.float64)
        if not ((magnitude == 0) | (magnitude == step[:, None])).all():
            raise QuantizeError(
                name,
                f"its weights for {branch.source} must be quantized like the rest of the model, by "
                "one scale or one for each output channel; they are real numbers",
                REQUANTIZE,
            )
    alive = step[step > 0]
    filler = float(alive.max()) if alive.size else 1.0
    positive: FloatArray = np.where(step > 0, step, filler)
    return positive


def make_terms(name: str, layer: Layer, sources: Mapping[str, Source]) -> list[Term]:
    """The connections of a layer; ``QuantizeError`` where weights are no integers of the chip."""
    terms = []
    for branch in layer.branches:
        step, source = weight_step(name, branch), sources[branch.source]
        exact = branch.weight / step.reshape(-1, 1, 1, 1)
        weights = np.round(exact)
        if np.abs(exact - weights).max(initial=0) > _GRID:
            raise QuantizeError(
                name, "its weights must be whole multiples of their scale, are not", REQUANTIZE
            )
        if np.abs(weights).max(initial=0) > MAX_WEIGHT:
            raise QuantizeError(
                name,
                f"its weights must be integers -{MAX_WEIGHT}..{MAX_WEIGHT}, reach "
                f"{int(weights.flat[np.abs(weights).argmax()])}",
                "quantize weights symmetrically, without the lowest code",
            )
        terms.append(Term(branch, source.scale * step, weights, source))
    return terms


def align_exact(terms: Sequence[Term], scale: float, acc_width: int) -> Aligned | None:
    """The accumulator on which every product is a whole number; all scales are powers of two.

    Its unit is at most ``scale``, that of the output. Weights get whole factors where shifts alone
    do not do; the smallest numbers win. None where nothing fits.
    """
    found = (_on_whole_grid(terms, *choice, scale) for choice in _choices(terms))
    fitting = [aligned for aligned in found if aligned is not None]
    if not fitting:
        return None
    return min(fitting, key=lambda aligned: _excess(terms, aligned))


def _choices(terms: Sequence[Term]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Shifts of the connections, and a whole factor for the weights of the leading one."""
    for factor in _FACTORS:
        for shifts in itertools.product(*(term.shifts for term in terms)):
            yield shifts, factor


def _leading(terms: Sequence[Term]) -> int:
    """The first connection with weights of its own; else the first of all."""
    return next((i for i, term in enumerate(terms) if term.branch.kind != IDENTITY), 0)


def _on_whole_grid(
    terms: Sequence[Term], shifts: Sequence[int], factor: float, scale: float
) -> Aligned | None:
    lead = _leading(terms)
    acc_scale = terms[lead].unit / (2.0 ** shifts[lead] * factor)
    ratio = np.log2(scale / acc_scale)
    if ratio.min() < 0 or ratio.max() > MAX_SHIFT:
        return None
    weights = []
    for term, h in zip(terms, shifts, strict=True):
        share = term.unit / (acc_scale * 2.0**h)
        whole = np.round(share)
        if (np.abs(whole - share) > _SAME * share).any():
            return None
        if (whole < 1).any() or (whole * term.largest > MAX_WEIGHT).any():
            return None
        weights.append(term.weights * whole.reshape(-1, 1, 1, 1))
    branches = tuple(term.branch for term in terms)
    return Aligned(branches, tuple(weights), Alignment(acc_scale, tuple(shifts)))


def align_free(terms: Sequence[Term], scale: float, acc_width: int) -> Aligned | None:
    """The accumulator of free scales, in units of the leading connection's products.

    Its weights stay as they are. A source that is passed on has a share in these units that is no
    whole number: it is rounded, and the units are as fine as the accumulator's width permits. A
    share above 127 becomes several connections, a digit each. None where other connections with
    weights of their own are worth no whole multiple.
    """
    fitting: Aligned | None = None
    has_shares = any(term.branch.kind == IDENTITY for term in terms) and len(terms) > 1
    for h in terms[_leading(terms)].shifts if has_shares else SHIFTS[:1]:
        aligned = _in_units(terms, h, scale)
        if aligned is not None and (fitting is None or _excess(terms, aligned) <= acc_width):
            fitting = aligned
    return fitting


def _in_units(terms: Sequence[Term], shift: int, scale: float) -> Aligned | None:
    lead = _leading(terms)
    is_share = terms[lead].branch.kind == IDENTITY
    acc_scale = terms[lead].unit / (2.0**shift * (_FACTORS[-1] if is_share else 1.0))
    if np.log2(scale / acc_scale).max() > MAX_SHIFT - MULTIPLIER_WIDTH:
        return None
    branches: list[Branch] = []
    weights: list[FloatArray] = []
    shifts: list[int] = []
    for i, term in enumerate(terms):
        share = term.unit / acc_scale
        if i == lead and not is_share:
            digits = [(shift, np.ones(len(share)))]
        elif term.branch.kind == IDENTITY:
            digits = _digits(np.round(share), term.shifts)
        else:
            digits = [(h, share / 2.0**h) for h in term.shifts]
            digits = [one for one in digits if _is_whole(one[1], term.largest)][:1]
        if not digits:
            return None
        for h, digit in digits:
            branches.append(term.branch)
            weights.append(term.weights * np.round(digit).reshape(-1, 1, 1, 1))
            shifts.append(h)
    return Aligned(tuple(branches), tuple(weights), Alignment(acc_scale, tuple(shifts)))


def _is_whole(share: FloatArray, largest: FloatArray) -> bool:
    whole = np.round(share)
    fits = (whole >= 1) & (whole * largest <= MAX_WEIGHT)
    return bool((fits & (np.abs(whole - share) <= _SAME * share)).all())


def _digits(share: FloatArray, shifts: Sequence[int]) -> list[tuple[int, FloatArray]]:
    """Whole shares (O,) as sums of few ``digit << shift``; none where they are too large."""
    highest = next((h for h in shifts if share.max() <= MAX_WEIGHT << h), None)
    if highest is None or share.max() < 1:
        return []
    found, rest = [], share
    for h in reversed([h for h in shifts if h <= highest]):
        digit = np.round(rest / 2.0**h)
        rest = rest - digit * 2.0**h
        if digit.any():
            found.append((h, digit))
    return found


def _excess(terms: Sequence[Term], aligned: Aligned) -> float:
    """Bits that the largest partial sum of any channel needs, the sign among them."""
    sources = {term.branch.source: term.source for term in terms}
    low = high = np.zeros(len(aligned.alignment.acc_scale))
    for branch, weight, h in zip(
        aligned.branches, aligned.weights, aligned.alignment.shifts, strict=True
    ):
        source = sources[branch.source]
        least, most = source.limits
        smallest, largest = partial_bounds(
            weight * 2.0**h, branch.rows, branch.columns, source.bits, least < 0, most
        )
        low, high = low + smallest, high + largest
    bits, reached = 1, float(np.maximum(-low, high).max())
    while signed_limits(bits)[1] < reached:
        bits += 1
    return bits
