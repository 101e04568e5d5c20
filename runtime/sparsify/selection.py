# SPDX-License-Identifier: Apache-2.0
"""Which point of a path from dense to sparse a budget of accuracy allows.

A point costs seconds to minutes, so few of a path are measured: some all along it, and those that
a bisection asks for.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from .pareto import Point

N_POINTS = 9  # of each path, evenly spaced, until one loses REACH budgets
REACH = 4

Measure = Callable[[str, dict[str, str]], Point]
Prefetch = Callable[[Sequence[dict[str, str]]], None]


class SchemePath:
    """A scheme's choices of tables from none to the sparsest, and the points measured so far.

    choices : tables by population; the first has none
    base : the point without tables
    measure : makes a point of a scheme's choice
    prefetch : is told of choices that will probably be measured, so that they can be together
    """

    def __init__(
        self,
        scheme: str,
        choices: Sequence[dict[str, str]],
        base: Point,
        measure: Measure,
        prefetch: Prefetch = lambda choices: None,
    ):
        self.scheme, self.choices, self._measure = scheme, choices, measure
        self._prefetch = prefetch
        self.points: dict[int, Point] = {0: base}

    def __len__(self) -> int:
        return len(self.choices)

    def point(self, index: int) -> Point:
        """One point, measured where it has not been."""
        if index not in self.points:
            self.points[index] = self._measure(self.scheme, self.choices[index])
        return self.points[index]

    def expect(self, indices: Iterable[int]) -> None:
        """Points that will probably be asked for."""
        new = sorted(set(indices) - self.points.keys())
        if new:
            self._prefetch([self.choices[index] for index in new])

    def surveyed(self) -> list[int]:
        """Points all along the path."""
        return [int(index) for index in np.linspace(0, len(self) - 1, N_POINTS)]

    def survey(self, most: float) -> None:
        """Measures points all along the path, up to the first that loses more than ``most``."""
        for index in self.surveyed():
            if self.point(index).lost > most:
                break

    def ended(self, chosen: int, predicted: float) -> list[Point]:
        """The measured points in order, one marked as chosen, with the loss that it was judged by;
        the first only where it is that.
        """
        marked = dataclasses.replace(
            self.points[chosen], scheme=self.scheme, chosen=True, predicted=predicted
        )
        points = {**self.points, chosen: marked}
        return [points[i] for i in sorted(points) if i or chosen == 0]


def select_points(paths: Sequence[SchemePath], budget: float) -> list[Point]:
    """Measured points of all paths, one by one; one of each is chosen.

    That is the sparsest whose predicted loss, with the standard error of its own figure to spare,
    lies within ``budget`` (a share of the answers): another set of as many images scatters by one
    standard error.
    """
    for path in paths:
        path.expect(path.surveyed())
        path.survey(REACH * budget)

    def predicted(path: SchemePath, index: int) -> float:
        point = path.point(index)
        measured = [p for one in paths for p in one.points.values()]
        return predicted_loss(measured, point, REACH * budget)

    def fits(path: SchemePath, index: int) -> bool:
        return predicted(path, index) + path.point(index).error <= budget

    while True:
        chosen = [last_that_fits(partial(fits, path), len(path), path.expect) for path in paths]
        # Each point measured makes the prediction better, so that what fitted once may not now.
        if all(map(fits, paths, chosen)):
            break
    return [
        point
        for path, index in zip(paths, chosen, strict=True)
        for point in path.ended(index, predicted(path, index))
    ]


def predicted_loss(measured: Sequence[Point], point: Point, most: float) -> float:
    """Share of answers that ``point`` loses, from all points measured, of whatever scheme.

    Proportional to the divergence: outputs that move by d change the answers of images whose margin
    is below d, a share like d, and lose by each a probability like d, which makes d squared, as the
    divergence is. The factor is fitted to points that lose at most ``most``, each with the weight
    of its standard error; a point's own figure alone would favour the lucky ones.
    """
    near = [p for p in measured if p.error > 0 and p.lost <= most]
    if not near:
        return point.lost
    weights = [p.divergence / p.error**2 for p in near]
    slope = sum(w * p.lost for w, p in zip(weights, near, strict=True)) / sum(
        w * p.divergence for w, p in zip(weights, near, strict=True)
    )
    return max(0.0, slope) * point.divergence


def last_that_fits(
    fits: Callable[[int], bool], n: int, expect: Callable[[Iterable[int]], None] = lambda i: None
) -> int:
    """Largest index of 0..n-1 for which ``fits`` holds, by bisection; 0 always does.

    ``expect`` is told of the next index asked for, and of both that may follow.
    """
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        expect({middle, (low + middle) // 2, (middle + high) // 2} - {0})
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
