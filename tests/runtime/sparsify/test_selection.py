# SPDX-License-Identifier: Apache-2.0
"""Which point of a path the budget allows: prediction, margin, as few points as possible."""

import pytest

from stemcore.runtime.sparsify.pareto import Point
from stemcore.runtime.sparsify.selection import (
    N_POINTS,
    REACH,
    SchemePath,
    last_that_fits,
    predicted_loss,
    select_points,
)

BASE = Point("none", {}, 0.9, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_bisection_finds_the_last_point_within_the_budget(n):
    for limit in range(n):
        assert last_that_fits(lambda i, limit=limit: i <= limit, n) == limit


def made_up(lost, error, divergence):
    return Point("rd", {}, 0.9, lost, error, divergence, 1.0, 1.0, 1.0)


def test_loss_is_predicted_from_all_points_in_reach():
    """Two points say 0.1 and 0.2 per divergence; the first is four times as sure."""
    points = [made_up(0.001, 0.001, 0.01), made_up(0.002, 0.002, 0.01), made_up(0.5, 0.01, 0.02)]
    assert predicted_loss(points, made_up(9.0, 1.0, 0.03), 0.02) == pytest.approx(0.03 * 0.12)
    assert predicted_loss(points[2:], made_up(0.1, 0.0, 0.03), 0.02) == 0.1
    assert predicted_loss([made_up(-0.01, 0.01, 0.1)], made_up(0.1, 0.0, 0.3), 0.02) == 0.0


class MadeUpPath(SchemePath):
    """Point i diverges by ``i / 1000`` and loses ``factor`` times that; ``error`` is constant."""

    def __init__(self, scheme, n, factor, error=0.001):
        self.measured = []

        def measure(scheme, choice):
            index = int(choice["layer"])
            self.measured.append(index)
            return Point(
                scheme,
                choice,
                0.9,
                factor * index / 1000,
                error,
                index / 1000,
                1.0 - index / 1000,
                1.0,
                1.0,
            )

        super().__init__(scheme, [{"layer": str(i)} for i in range(n)], BASE, measure)


def chosen(points):
    return {point.scheme: int(point.tables.get("layer", 0)) for point in points if point.chosen}


def test_the_chosen_point_has_its_standard_error_to_spare():
    """With 0.1 per divergence, point i is predicted to lose i / 10000, and 0.001 is kept back."""
    for budget, index in ((0.005, 40), (0.002, 10), (0.0011, 1), (0.0009, 0)):
        assert chosen(select_points([MadeUpPath("rd", 200, 0.1)], budget)) == {"rd": index}


def test_a_chosen_point_says_what_it_was_judged_by():
    points = select_points([MadeUpPath("a", 100, 0.1), MadeUpPath("b", 100, 0.15)], 0.005)
    for point in points:
        if not point.chosen:
            assert point.predicted is None
            continue
        judged = predicted_loss([BASE, *points], point, REACH * 0.005)
        assert point.predicted == pytest.approx(judged)
        assert point.predicted + point.error <= 0.005
        assert point.predicted != point.lost


def test_points_of_one_path_help_to_predict_another():
    """Each path alone would end at 80 and at 26; together the factor lies between theirs."""
    alone = [
        chosen(select_points([MadeUpPath(name, 200, factor)], 0.005))
        for name, factor in (("a", 0.05), ("b", 0.15))
    ]
    assert alone == [{"a": 80}, {"b": 26}]
    together = chosen(
        select_points([MadeUpPath("a", 200, 0.05), MadeUpPath("b", 200, 0.15)], 0.005)
    )
    assert together["a"] == together["b"]
    assert 30 < together["a"] < 60


def test_few_points_are_measured_none_twice_and_all_are_returned_in_order():
    path = MadeUpPath("rd", 200, 0.1)
    points = select_points([path], 0.005)
    assert len(path.measured) == len(set(path.measured)) <= N_POINTS + 8
    assert [int(p.tables["layer"]) for p in points] == sorted(path.measured)


def test_without_a_table_within_the_budget_the_network_stays_as_it_is():
    points = select_points([MadeUpPath("rd", 5, 10.0)], 0.001)
    assert [(p.tables, p.chosen) for p in points if p.chosen] == [({}, True)]
    assert all(p.scheme == "rd" for p in points)


def test_a_path_without_steps_ends_where_it_begins():
    points = select_points([SchemePath("rd", [{}], BASE, None)], 0.005)
    assert [(p.scheme, p.chosen) for p in points] == [("rd", True)]


def test_what_is_measured_was_expected():
    """But for points that a prediction made better asks for; all others can be measured ahead."""
    path = MadeUpPath("rd", 200, 0.1)
    expected = []
    path._prefetch = lambda choices: expected.append({int(c["layer"]) for c in choices})
    select_points([path], 0.005)
    assert len(expected[0]) == N_POINTS - 1
    assert set(path.measured) <= set().union(*expected)
    assert max(map(len, expected[1:])) <= 3
