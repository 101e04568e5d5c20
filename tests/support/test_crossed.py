# SPDX-License-Identifier: Apache-2.0
from itertools import combinations, product

import pytest

from tests.support.crossed import crossed, few


@pytest.mark.parametrize(
    ("lengths", "together", "at_most"),
    [((2, 2, 2, 2, 2), 2, 8), ((3, 3), 1, 3), ((2, 3, 3), 2, 10), ((4,), 1, 4), ((2, 1, 3), 2, 6)],
)
def test_few_hold_every_choice_of_values(lengths, together, at_most):
    found = few(lengths, together)
    assert len(found) == len(set(found)) <= at_most
    for axes in combinations(range(len(lengths)), together):
        held = {tuple(combination[axis] for axis in axes) for combination in found}
        assert held == set(product(*(range(lengths[axis]) for axis in axes)))


def test_few_take_values_alike_often():
    found = few((8, 3), 1)
    assert len(found) == 8
    assert sorted(sum(j == value for _, j in found) for value in range(3)) == [2, 3, 3]


def test_all_combinations_are_there_and_the_others_are_slow():
    mark = crossed(together=1, size={"small": 1, "large": 9}, stall=("free", "half", "third"))
    assert mark.args[0] == ["size", "stall"]
    tests = mark.args[1]
    assert [test.id for test in tests] == [
        f"{size}-{stall}" for size in ("small", "large") for stall in ("free", "half", "third")
    ]
    assert tests[3].values == (9, "free")
    fast = [test.values for test in tests if not test.marks]
    assert {size for size, _ in fast} == {1, 9}
    assert {stall for _, stall in fast} == {"free", "half", "third"}
    assert len(fast) == 3
