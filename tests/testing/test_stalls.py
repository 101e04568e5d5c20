# SPDX-License-Identifier: Apache-2.0
"""Patterns of stalls: their share, their sources, what they refuse."""

import itertools

import numpy as np
import pytest

from stemcore.testing import STALLS, seeded, willing


@pytest.mark.parametrize("stall", STALLS)
def test_stall_patterns_have_their_share(stall, rng):
    cycles = list(itertools.islice(willing(stall, rng), 40000))
    assert sum(cycles) / len(cycles) == pytest.approx(1 / STALLS[stall], abs=0.03)
    if stall != "free":
        lengths = {len(list(run)) for willing_now, run in itertools.groupby(cycles) if willing_now}
        assert {1, 2, 3, 4} <= lengths  # single cycles, and bursts


def test_users_own_pattern_ends_willing():
    assert list(itertools.islice(willing([False, True, False]), 5)) == [False, True, False, 1, 1]


def test_stall_patterns_refuse():
    with pytest.raises(
        ValueError, match=r"^stall: must be one of free, half, third, rare, got 'most'$"
    ):
        willing("most", None)
    with pytest.raises(
        ValueError, match=r"^rng: stall pattern 'half' needs a generator, got None$"
    ):
        willing("half", None)


def test_random_numbers_follow_seed_and_words_alone(monkeypatch):
    def draw(*words):
        return seeded(*words).integers(1 << 62, size=4).tolist()

    monkeypatch.setenv("SEED", "7")
    first = draw("router", 1)
    np.random.default_rng().integers(5)
    assert draw("router", 1) == first
    assert draw("router", 2) != first
    monkeypatch.setenv("SEED", "8")
    assert draw("router", 1) != first
