# SPDX-License-Identifier: Apache-2.0
from itertools import product

import numpy as np
import pytest

from stemcore.golden.arithmetic import stem
from stemcore.golden.spec.spike_code import SpikeCode

CODES = [SpikeCode(bits, is_signed) for bits in range(2, 9) for is_signed in (False, True)]


def test_weight_is_negative_only_for_the_sign():
    assert [SpikeCode(4, False).weight(t) for t in range(4)] == [8, 4, 2, 1]
    assert [SpikeCode(4, True).weight(t) for t in range(4)] == [-8, 4, 2, 1]
    with pytest.raises(ValueError, match=r"^weight: t must lie in 0\.\.3, got 4$"):
        SpikeCode(4, False).weight(4)


@pytest.mark.parametrize("code", CODES, ids=str)
def test_trains_are_those_of_the_arrays_and_their_reach_is_exact(code):
    low, high = code.reach
    trains = [code.encode(value) for value in range(low, high + 1)]
    assert [code.decode(train) for train in trains] == list(range(low, high + 1))
    arrays = stem.encode(np.arange(low, high + 1), code.bits, code.is_signed)
    np.testing.assert_array_equal(np.array(trains).T, arrays)
    sums = [code.decode(train) for train in product((0, 1), repeat=code.bits)]
    assert (min(sums), max(sums)) == code.reach
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"^encode: value must lie in {low}\.\.{high}, got"):
            code.encode(value)


def test_limits_are_symmetric_where_values_are_signed():
    assert SpikeCode(8, True).limits == (-127, 127)
    assert SpikeCode(8, False).limits == (0, 255)
    assert SpikeCode(8, True).step_limits == [(-1, 0), (0, 1)]
    assert SpikeCode(8, False).step_limits == [(0, 1)]
