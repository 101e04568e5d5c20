# SPDX-License-Identifier: Apache-2.0
"""Bounds of weighted sums against all sums."""

import itertools

import numpy as np
import pytest

from stemcore.golden.arithmetic.bounds import sum_bounds


@pytest.mark.parametrize(("low", "high"), [(0, 3), (-2, 1), (-3, 3)])
def test_bounds_are_the_extremes_over_all_values(low, high, rng):
    weight = rng.integers(-127, 128, (5, 2, 2))
    values = np.array(list(itertools.product(range(low, high + 1), repeat=4)))
    sums = values @ weight.reshape(5, 4).T
    smallest, largest = sum_bounds(weight, low, high)
    np.testing.assert_array_equal(smallest, sums.min(axis=0))
    np.testing.assert_array_equal(largest, sums.max(axis=0))


def test_no_partial_sum_lies_outside(rng):
    weight = rng.integers(-127, 128, (3, 40))
    values = rng.integers(-128, 128, (50, 40))
    smallest, largest = sum_bounds(weight, -128, 127)
    partial = np.cumsum(values[:, None] * weight, axis=2)
    assert (partial >= smallest[:, None]).all()
    assert (partial <= largest[:, None]).all()
