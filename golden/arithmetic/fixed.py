# SPDX-License-Identifier: Apache-2.0
"""Fixed-point arithmetic of the core: wrapping, clamping, rounding, requantization.

Every operation exists twice: ``*_one`` on Python integers, as the equation reads, and the
vectorized form that the models use. The tests hold them equal. All arrays are int64.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..spec.integers import limits, signed_limits
from ..spec.widths import ACTIVATION_WIDTH, BIAS_SHIFT_WIDTH, PRODUCT_WIDTH

Int64Array = NDArray[np.int64]

MAX_SHIFT = PRODUCT_WIDTH - 1  # a larger rounding shift would leave no bit of the product
MAX_BIAS_SHIFT = (1 << BIAS_SHIFT_WIDTH) - 1  # bytes


def wrap_one(x: int, width: int) -> int:
    """``x`` modulo ``2**width``, as a signed ``width``-bit integer."""
    half = 1 << (width - 1)
    return (x + half) % (1 << width) - half


def wrap(x: ArrayLike, width: int) -> Int64Array:
    """``x`` modulo ``2**width``, as signed ``width``-bit integers.

    x : integers, any shape; must be exact in int64.  Same shape out.
    """
    half = 1 << (width - 1)
    return ((np.asarray(x, np.int64) + half) & ((1 << width) - 1)) - half


def saturate(x: ArrayLike, width: int) -> Int64Array:
    """Clamp ``x`` to the signed ``width``-bit range ``-2**(width-1) .. 2**(width-1) - 1``."""
    low, high = signed_limits(width)
    return np.clip(np.asarray(x, np.int64), low, high)


def clamp(y: ArrayLike, bits: int, is_signed: bool) -> Int64Array:
    """Clamp ``y`` to the activations of ``bits`` bits.

    ``0 .. 2**bits - 1`` (this is the ReLU), or ``-(2**(bits-1) - 1) .. 2**(bits-1) - 1`` if signed.
    """
    low, high = limits(bits, is_signed)
    return np.clip(np.asarray(y, np.int64), low, high)


def round_half_even_shift_one(product: int, shift: int) -> int:
    """``product / 2**shift`` rounded to the nearest integer, ties to the even one."""
    return round(Fraction(product, 1 << shift))


def round_half_even_shift(product: ArrayLike, shift: ArrayLike) -> Int64Array:
    """``product / 2**shift`` rounded to the nearest integer, ties to the even one.

    ``(P + 2**(s-1) - 1 + ((P >> s) & 1)) >> s`` with arithmetic shifts; ``s = 0`` returns ``P``.

    product : integers of at most 62 bits, any shape
    shift : integers 0..47, broadcast against ``product``
    """
    p = np.asarray(product, np.int64)
    s = np.asarray(shift, np.int64)
    if s.size and (s.min() < 0 or s.max() > MAX_SHIFT):
        raise ValueError(
            f"round_half_even_shift: shift must lie in 0..{MAX_SHIFT}, got {s.min()}..{s.max()}"
        )
    # With s = 0 the half is 1 >> 1 = 0 and nothing may be added.
    half = (np.int64(1) << s) >> 1
    below = np.where(s == 0, 0, half - 1 + ((p >> s) & 1))
    return (p + below) >> s


def product_one(z: int, bias: int, multiplier: int, bias_shift: int) -> int:
    """``P = multiplier * z + (bias << 8 * bias_shift)``, wrapped to 48 signed bits."""
    return wrap_one(multiplier * z + (bias << (8 * bias_shift)), PRODUCT_WIDTH)


def requantize_one(
    z: int, bias: int, multiplier: int, shift: int, bias_shift: int, bits: int, is_signed: bool
) -> int:
    """:func:`requantize` of one potential, on Python integers."""
    y = round_half_even_shift_one(product_one(z, bias, multiplier, bias_shift), shift)
    low, high = limits(bits, is_signed)
    return min(max(y, low), high)


def digit_one(z: int, bias: int, multiplier: int, shift: int, bias_shift: int) -> int:
    """:func:`digit` of one potential, on Python integers."""
    return (product_one(z, bias, multiplier, bias_shift) >> shift) % (1 << ACTIVATION_WIDTH)


def product(z: ArrayLike, bias: ArrayLike, multiplier: ArrayLike, bias_shift: int) -> Int64Array:
    """``P = multiplier * z + (bias << 8 * bias_shift)``, wrapped to 48 signed bits.

    z : integers of at most 32 bits, any shape; bias (signed 32 bits) and multiplier (unsigned 16)
    are broadcast against it.
    """
    scaled_bias = np.asarray(bias, np.int64) << (8 * bias_shift)
    exact = np.asarray(multiplier, np.int64) * np.asarray(z, np.int64) + scaled_bias
    return wrap(exact, PRODUCT_WIDTH)


def digit(
    z: ArrayLike, bias: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, bias_shift: int
) -> Int64Array:
    """The soma's raw mode: ``(P >> shift) mod 2**8``, an unsigned byte of the product.

    The shift is arithmetic and drops what it shifts out: no rounding, no clamp. Arguments as in
    :func:`requantize`.
    """
    shifted = product(z, bias, multiplier, bias_shift) >> np.asarray(shift, np.int64)
    return shifted & ((1 << ACTIVATION_WIDTH) - 1)


def requantize(
    z: ArrayLike,
    bias: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    bias_shift: int,
    bits: int,
    is_signed: bool,
) -> Int64Array:
    """The soma's arithmetic: from membrane potential to activation.

    In this order: ``P = multiplier * z + (bias << 8 * bias_shift)``, which wraps to 48 signed bits;
    ``y = round_half_even(P / 2**shift)``; ``clamp(y)``.

    Parameters
    ----------
    z : integers of at most 32 bits, any shape
    bias, multiplier, shift : integers, broadcast against ``z``
        Signed 32 bits, unsigned 16 bits, 0..47.
    bias_shift : int
        Bytes, 0..3.
    bits, is_signed
        Of the activation.
    """
    exact = product(z, bias, multiplier, bias_shift)
    return clamp(round_half_even_shift(exact, shift), bits, is_signed)
