# SPDX-License-Identifier: Apache-2.0
"""Parameters of tests that are crossed with each other: all combinations, the fast ones among them.

A component that has five switches has 32 variants, and a fault seldom needs more than two of them
to show. So the fast tests see every pair of values, and `make test` all combinations.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import pytest

# Values; where they have names, tests are called by them.
Axis = Sequence[Any] | Mapping[str, Any]


def crossed(together: int = 2, **axes: Axis) -> pytest.MarkDecorator:
    """Every combination of the axes' values as a test, most of them marked slow.

    Those that are not are few: each choice of ``together`` values of different axes is in one.
    """
    named = [
        list(values.items()) if isinstance(values, Mapping) else [(str(v), v) for v in values]
        for values in axes.values()
    ]
    fast = set(few([len(values) for values in named], min(together, len(named))))
    tests = []
    for choice in product(*(range(len(values)) for values in named)):
        chosen = [named[axis][i] for axis, i in enumerate(choice)]
        tests.append(
            pytest.param(
                *(value for _, value in chosen),
                id="-".join(name for name, _ in chosen),
                marks=[] if choice in fast else pytest.mark.slow,
            )
        )
    return pytest.mark.parametrize(list(axes), tests)


def few(lengths: Sequence[int], together: int) -> list[tuple[int, ...]]:
    """Combinations of indices below ``lengths`` that hold all choices of ``together`` of them.

    Greedy: always one of the combinations that hold most of what is still missing, of these one
    whose indices have been taken least.
    """
    everything = list(product(*map(range, lengths)))
    sets = {combination: _parts(combination, together) for combination in everything}
    missing = set[tuple[tuple[int, int], ...]]().union(*sets.values())
    found: list[tuple[int, ...]] = []
    taken = Counter[tuple[int, int]]()

    def worth(combination: tuple[int, ...]) -> tuple[int, int]:
        return len(sets[combination] & missing), -sum(taken[i] for i in enumerate(combination))

    while missing:
        best = max(everything, key=worth)
        found.append(best)
        missing -= sets[best]
        taken.update(enumerate(best))
    return found


def _parts(combination: Sequence[int], together: int) -> set[tuple[tuple[int, int], ...]]:
    return set(combinations(enumerate(combination), together))
