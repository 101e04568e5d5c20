# SPDX-License-Identifier: Apache-2.0
"""Arrays against a golden model: exact, and the first difference by index."""

import numpy as np
import pytest

from stemcore.testing import check_equal


def test_equal_arrays_pass():
    check_equal("words", [1, 2, 3], np.array([1, 2, 3], np.uint8))
    check_equal("nothing", [], np.zeros(0, np.int64))


def test_first_difference_is_told():
    wanted = np.arange(12).reshape(3, 4)
    got = wanted.copy()
    got[1, 2], got[2, 0] = 60, -1
    with pytest.raises(
        AssertionError, match=r"^words\[1, 2\]: wanted 6, got 60; 2 of 12 values differ$"
    ):
        check_equal("words", wanted, got)


def test_shapes_must_be_the_same():
    with pytest.raises(AssertionError, match=r"^words: wanted shape \(2, 1\), got \(2,\)$"):
        check_equal("words", [[1], [1]], [1, 1])


def test_rounded_numbers_are_refused():
    with pytest.raises(TypeError, match=r"^words: must be compared as integers, got float64$"):
        check_equal("words", [1, 2], [1.0, 2.0])
