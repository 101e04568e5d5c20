# SPDX-License-Identifier: Apache-2.0
"""Formats of a layer's bias: how many bits, and what one unit of it is worth.

The core computes ``round((m z + (b << 8 sb)) / 2**s)`` with b of 32 bits, whatever the format: a
format says on which grid the bias is rounded, and with how few bits a memory could store it. All of
them are exact in these fields.

``int32``       32 bits on the grid of the product, in the exact profile the accumulator's
``fraction16``  16 bits with a binary fraction that is common to the layer
``output8``     8 bits at the output's scale: the paper's bias calibration, S_b = S_y (eq. 10)
``output16``    16 bits at the output's scale
``output``      ``output8`` where that fits, ``output16`` elsewhere

Equation 10 adds an integer bias behind the rounded product; here the sum is rounded once, which
differs where the product is an exact tie and the bias odd.
"""

from dataclasses import dataclass

import numpy as np

from stemcore.golden.arithmetic.fixed import MAX_BIAS_SHIFT, MAX_SHIFT
from stemcore.golden.spec.integers import signed_limits
from stemcore.golden.spec.widths import BIAS_WIDTH

from ..errors import QuantizeError
from ..frontend.ops.operator import FloatArray
from .quantized import EXACT, GENERAL, PAPER, IntArray

INT32, FRACTION16, OUTPUT8, OUTPUT16, OUTPUT = BIAS_FORMATS = (
    "int32",
    "fraction16",
    "output8",
    "output16",
    "output",
)
DEFAULT_FORMAT = {EXACT: INT32, GENERAL: INT32, PAPER: OUTPUT}
MAX_BIAS = signed_limits(BIAS_WIDTH)[1]


@dataclass(frozen=True, eq=False)
class Bias:
    """Bias integers (C,) for the core, their left shift in bytes, and the format for reports."""

    integers: IntArray
    shift: int
    said: str


def round_bias(
    name: str, bias: FloatArray, rescale_shift: IntArray, bias_format: str, *, is_exact: bool
) -> Bias:
    """The bias of one layer, rounded to a format.

    Parameters
    ----------
    name : str
        Layer, for the error.
    bias : (C,)
        In units of the output.
    rescale_shift : (C,)
        s of every channel.
    is_exact : bool
        The exact profile, which shifts no bias.

    ``QuantizeError`` where the bias needs more bits than the format has.
    """
    if (rescale_shift < 0).any() or (rescale_shift > MAX_SHIFT).any():
        worst = int(rescale_shift[np.argmax(np.abs(rescale_shift - MAX_SHIFT // 2))])
        raise QuantizeError(
            name,
            f"the shift after the accumulator must be 0 to {MAX_SHIFT}, is {worst}",
            "weights, bias and output have ranges that are too far apart; check the calibration "
            "images and the weights",
        )
    largest = float(np.abs(bias).max(initial=0))
    max_shift = 0 if is_exact else MAX_BIAS_SHIFT
    if bias_format == INT32:
        return _int32(name, bias, rescale_shift, max_shift)
    fraction, bits = 0, 8 if bias_format == OUTPUT8 else 16
    if bias_format == OUTPUT and _fits(largest, 8):
        bits = 8
    if bias_format == FRACTION16:
        while fraction < rescale_shift.min() and _fits(np.ldexp(largest, fraction + 1), 16):
            fraction += 1
    if not _fits(largest, bits):
        raise QuantizeError(
            name,
            f"the bias must fit in {bits} bits at the scale of the output, is up to {largest:.4g}",
            f"choose the bias format {INT32}" + (f" or {OUTPUT16}" if bits == 8 else ""),
        )
    coarse = np.round(np.ldexp(bias, fraction)).astype(np.int64)
    said = f"{bits} bits at the output's scale"
    if bias_format == FRACTION16:
        said = f"16 bits, {fraction} of them fraction"
    return _exactly(name, coarse, rescale_shift - fraction, max_shift, said)


def _fits(largest: float, bits: int) -> bool:
    return bool(np.round(largest) <= signed_limits(bits)[1])


def _int32(name: str, bias: FloatArray, rescale_shift: IntArray, max_shift: int) -> Bias:
    """Rounds to the finest grid on which the biases of all channels fit."""
    for bias_shift in range(max_shift + 1):
        integers = np.round(np.ldexp(bias, rescale_shift - 8 * bias_shift))
        if np.abs(integers).max(initial=0) <= MAX_BIAS:
            grid = "the accumulator's scale" if max_shift == 0 else "the product's scale"
            said = f"32 bits at {grid}" + (f", shifted by {8 * bias_shift}" if bias_shift else "")
            return Bias(integers.astype(np.int64), bias_shift, said)
    raise QuantizeError(
        name,
        f"the bias must fit in {BIAS_WIDTH} bits, needs {np.abs(integers).max():.3g}",
        "its channel has a bias far above its weights; remove the channel or train it again",
    )


def _exactly(name: str, coarse: IntArray, left: IntArray, max_shift: int, said: str) -> Bias:
    """``coarse << left`` as 32-bit integers and a common shift in bytes that drops no bit."""
    for bias_shift in range(max_shift + 1):
        rest = left - 8 * bias_shift
        used = rest[coarse != 0]
        if (used < 0).any():
            break
        integers = coarse << np.maximum(rest, 0)
        if np.abs(integers).max(initial=0) <= MAX_BIAS:
            return Bias(integers, bias_shift, said)
    raise QuantizeError(
        name,
        f"the bias ({said}) must fit in {BIAS_WIDTH} bits and a shift by bytes for all channels, "
        "whose scales are too far apart",
        f"choose the bias format {INT32}",
    )
