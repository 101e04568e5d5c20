# SPDX-License-Identifier: Apache-2.0
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemcore.golden.arithmetic import fixed

WIDTHS = st.integers(2, 48)
PRODUCTS = st.integers(-(1 << 47), (1 << 47) - 1)
SHIFTS = st.integers(0, 47)


def test_shifts_reach_as_far_as_their_fields():
    assert (fixed.MAX_SHIFT, fixed.MAX_BIAS_SHIFT) == (47, 3)


@given(x=st.integers(-(1 << 62), (1 << 62) - 1), width=WIDTHS)
def test_wrap_keeps_the_residue_and_the_range(x, width):
    wrapped = int(fixed.wrap(x, width))
    assert wrapped == fixed.wrap_one(x, width)
    assert (wrapped - x) % (1 << width) == 0
    assert -(1 << (width - 1)) <= wrapped < 1 << (width - 1)


def test_wrap_turns_over_at_the_rails():
    np.testing.assert_array_equal(
        fixed.wrap([127, 128, -128, -129, 256], 8), [127, -128, -128, 127, 0]
    )


@given(x=st.integers(-(1 << 62), (1 << 62) - 1), width=WIDTHS)
def test_saturate_stops_at_the_rails(x, width):
    half = 1 << (width - 1)
    assert int(fixed.saturate(x, width)) == min(max(x, -half), half - 1)


@pytest.mark.parametrize("bits", range(2, 9))
def test_clamp_is_relu_or_symmetric(bits):
    x = np.arange(-300, 301)
    np.testing.assert_array_equal(fixed.clamp(x, bits, False), np.clip(x, 0, 2**bits - 1))
    top = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(fixed.clamp(x, bits, True), np.clip(x, -top, top))


@given(product=PRODUCTS, shift=SHIFTS)
def test_round_half_even_shift_is_exact(product, shift):
    got = int(fixed.round_half_even_shift(product, shift))
    assert got == fixed.round_half_even_shift_one(product, shift)
    error = abs(Fraction(product, 1 << shift) - got)
    assert error < Fraction(1, 2) or (error == Fraction(1, 2) and got % 2 == 0)


@pytest.mark.parametrize("shift", [1, 2, 7, 46, 47])
def test_round_half_even_shift_takes_ties_to_even(shift):
    whole = np.arange(-1, 1) if shift == 47 else np.arange(-2, 2)
    ties = (whole << shift) + (1 << (shift - 1))
    np.testing.assert_array_equal(fixed.round_half_even_shift(ties, shift), whole + (whole & 1))


def test_round_half_even_shift_takes_a_shift_per_element():
    np.testing.assert_array_equal(
        fixed.round_half_even_shift([5, 5, 6, -6, 7], [0, 1, 2, 2, 47]), [5, 2, 2, -2, 0]
    )


@pytest.mark.parametrize("shift", [-1, 48])
def test_round_half_even_shift_refuses_shifts_beyond_the_product(shift):
    message = rf"^round_half_even_shift: shift must lie in 0\.\.47, got {shift}\.\.{shift}$"
    with pytest.raises(ValueError, match=message):
        fixed.round_half_even_shift(1, shift)


CONSTANTS = st.tuples(
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.one_of(st.just(1), st.integers(0, (1 << 16) - 1)),
    SHIFTS,
    st.integers(0, 3),
    st.integers(2, 8),
    st.booleans(),
)


@given(z=st.integers(-(1 << 31), (1 << 31) - 1), constants=CONSTANTS)
def test_requantize_matches_its_scalar_form(z, constants):
    assert int(fixed.requantize(z, *constants)) == fixed.requantize_one(z, *constants)


@given(
    z=st.integers(-(1 << 23), (1 << 23) - 1),
    shift=SHIFTS,
    bias=st.integers(-(1 << 31), (1 << 31) - 1),
)
def test_requantize_is_the_equation_where_nothing_wraps(z, shift, bias):
    q = int(fixed.requantize(z, bias, 40000, shift, 0, 8, False))
    exact = Fraction(40000 * z + bias, 1 << shift)
    y = math.floor(exact + Fraction(1, 2))
    if exact.denominator == 2 and y % 2:
        y -= 1
    assert q == min(max(y, 0), 255)


def test_requantize_wraps_the_product_to_48_bits():
    # 2^31 << 16 reaches the 48th bit: the bias turns negative.
    assert int(fixed.requantize(0, 1 << 30, 1, 40, 2, 8, False)) == 64
    assert int(fixed.requantize(0, 1 << 30, 1, 40, 3, 8, True)) == 0
    assert int(fixed.requantize(0, (1 << 31) - 1, 1, 40, 2, 8, True)) == 127
    assert fixed.product_one(1 << 23, 1 << 30, 1 << 16, 3) == fixed.wrap_one(1 << 39, 48)


@given(z=st.integers(-(1 << 31), (1 << 31) - 1), constants=CONSTANTS)
def test_digit_matches_its_scalar_form(z, constants):
    terms = constants[:4]
    assert int(fixed.digit(z, *terms)) == fixed.digit_one(z, *terms)


@given(z=st.integers(-(1 << 31), (1 << 31) - 1), bias=st.integers(-(1 << 31), (1 << 31) - 1))
def test_digits_are_the_bytes_of_the_sum(z, bias):
    digits = fixed.digit(z, bias, 1, [0, 8, 16, 24, 32, 40], 0)
    low = sum(int(d) << (8 * k) for k, d in enumerate(digits))
    assert low == (z + bias) % (1 << 48)


def test_digit_drops_what_it_shifts_out():
    np.testing.assert_array_equal(
        fixed.digit([-1, 255, 256, 0x17F], 0, 1, [0, 1, 8, 7], 0), [255, 127, 1, 2]
    )


def test_requantize_broadcasts_constants_over_channels():
    z = np.arange(12).reshape(2, 2, 3)
    q = fixed.requantize(z, [0, 10, -3], [1, 2, 1], [0, 1, 0], 0, 4, False)
    expected = [
        [
            [
                fixed.requantize_one(int(v), b, m, s, 0, 4, False)
                for v, b, m, s in zip(row, (0, 10, -3), (1, 2, 1), (0, 1, 0), strict=True)
            ]
            for row in plane
        ]
        for plane in z
    ]
    np.testing.assert_array_equal(q, expected)
