# SPDX-License-Identifier: Apache-2.0
"""Requantization moved from the exact sum's scale to that of a model's potential: k2, bias."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.fixed import MAX_BIAS_SHIFT, MAX_SHIFT
from stemcore.golden.network.network import Layer
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.widths import BIAS_WIDTH, MULTIPLIER_WIDTH, PRODUCT_WIDTH

from ..errors import RangeError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PotentialScale:
    """What a potential V stands for: the exact sum times ``multiplier / 2**shift``, less ``lost``.

    ``lost``: mean that the model's own rounding drops, in units of V. ``largest``: magnitude that V
    cannot exceed.
    """

    multiplier: int
    shift: int
    lost: Fraction
    largest: int


def with_neuron(layer: Layer, neuron: Neuron, scale: PotentialScale, multipliers: bool) -> Layer:
    """The layer with ``neuron``, and multiplier, shift and bias at the scale of its potential."""
    pairs, biases = [], []
    for c, (m, s, b) in enumerate(
        zip(layer.multiplier.tolist(), layer.shift.tolist(), layer.bias.tolist(), strict=True)
    ):
        bias = Fraction(b << (8 * layer.bias_shift), 1 << s)  # in units of the activation
        for m2, s2 in _rescalings(m, s, scale, multipliers):
            shifted = bias * (1 << s2) + scale.lost * m2
            if m2 * scale.largest + abs(shifted) < 1 << (PRODUCT_WIDTH - 1):
                break
        else:
            raise RangeError(
                layer.name,
                f"channel {c}: k2 = {m} * 2**{scale.shift - s} must have a multiplier and a "
                f"shift in 0..{MAX_SHIFT}" + ("" if multipliers else ", without multipliers 1"),
                "choose a preset with multipliers, or INTEGRATION=exact",
            )
        pairs.append((m2, s2))
        biases.append(shifted)
    bias_array, bias_bytes = _bias(layer.name, biases)
    return replace(
        layer,
        neuron=neuron,
        bias=bias_array,
        bias_shift=bias_bytes,
        multiplier=np.array([m for m, _ in pairs], np.int64),
        shift=np.array([s for _, s in pairs], np.int64),
    )


def mantissa(value: Fraction, *, is_floor: bool = False) -> tuple[int, int]:
    """``(m, s)`` with ``m / 2**s`` next to ``value`` and m of 16 bits; below it if ``is_floor``."""
    top = 1 << MULTIPLIER_WIDTH
    s = MULTIPLIER_WIDTH - 1 + value.denominator.bit_length() - value.numerator.bit_length()
    while value * Fraction(2) ** s >= top:
        s -= 1
    while value * Fraction(2) ** (s + 1) < top:
        s += 1
    scaled = value * Fraction(2) ** s
    m = int(scaled) if is_floor else round(scaled)
    return (m >> 1, s - 1) if m == top else (m, s)


def _rescalings(
    m: int, s: int, scale: PotentialScale, multipliers: bool
) -> Iterator[tuple[int, int]]:
    """Pairs (multiplier, shift) for ``k2 = m / 2**s / k1``, the most precise first."""
    if scale.multiplier > 1:
        m, s = mantissa(Fraction(m << scale.shift, scale.multiplier << s))
    else:
        s -= scale.shift
    # More bits in multiplier and shift alike keep more of the bias.
    spare = MULTIPLIER_WIDTH - m.bit_length() if multipliers else 0
    for more in range(min(spare, max(scale.shift, -s)), -1, -1):
        if 0 <= s + more <= MAX_SHIFT:
            yield m << more, s + more
    while m > 1 and s > 0:
        m, s = round(Fraction(m, 2)), s - 1
        if s <= MAX_SHIFT:
            yield m, s


def _bias(name: str, biases: Sequence[Fraction]) -> tuple[IntArray, int]:
    """Biases as integers of 32 bits, and the bytes that they are shifted left by."""
    limit = 1 << (BIAS_WIDTH - 1)
    for n_bytes in range(MAX_BIAS_SHIFT + 1):
        rounded = [round(b / (1 << (8 * n_bytes))) for b in biases]
        if all(-limit <= b < limit for b in rounded):
            return np.array(rounded, np.int64), n_bytes
    raise RangeError(
        name,
        f"the bias must fit in {BIAS_WIDTH} bits and {MAX_BIAS_SHIFT} bytes of shift, "
        f"reached {max(abs(int(b)) for b in biases)}",
        "use INTEGRATION=exact",
    )
