# SPDX-License-Identifier: Apache-2.0
"""Bounds of weighted sums against all sums."""

import itertools

import numpy as np
import pytest

from stemcore.golden.arithmetic import bounds
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


@pytest.mark.parametrize("n_elements", [1, 2, 5, 1000])
def test_pieces_of_any_size_give_the_same_bounds(n_elements, rng, monkeypatch):
    """A row may be larger than a piece, or have no elements at all."""
    weight = rng.integers(-127, 128, (6, 3))
    expected = sum_bounds(weight, -4, 3)
    monkeypatch.setattr(bounds, "CACHED_ELEMENTS", n_elements)
    for found, wanted in zip(sum_bounds(weight, -4, 3), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for found in sum_bounds(np.zeros((2, 0), np.int64), -4, 3):
        np.testing.assert_array_equal(found, [0, 0])
