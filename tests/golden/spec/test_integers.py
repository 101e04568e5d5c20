# SPDX-License-Identifier: Apache-2.0
"""Ranges of integers against their definitions."""

import itertools

import pytest

from stemcore.golden.arithmetic.stem import decode
from stemcore.golden.spec.integers import code_limits, limits, signed_bits, signed_limits


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-8, 8, 5)]
)
def test_signed_bits_counts_the_sign(low, high, bits):
    assert signed_bits(low, high) == bits


@pytest.mark.parametrize("width", [2, 8, 16, 24])
def test_signed_limits_are_those_of_twos_complement(width):
    low, high = signed_limits(width)
    assert high - low + 1 == 1 << width
    assert low + high == -1
    assert signed_bits(low, high) == width


@pytest.mark.parametrize("bits", range(2, 9))
def test_activations_fit_their_codes_and_signed_ones_are_symmetric(bits):
    assert limits(bits, False) == code_limits(bits, False) == (0, 2**bits - 1)
    low, high = limits(bits, True)
    assert low == -high
    assert code_limits(bits, True) == (low - 1, high)


@pytest.mark.parametrize("is_signed", [False, True])
def test_code_limits_are_reached_by_spike_trains_and_not_exceeded(is_signed):
    values = [int(decode(s, is_signed)) for s in itertools.product((0, 1), repeat=4)]
    assert (min(values), max(values)) == code_limits(4, is_signed)
