# SPDX-License-Identifier: Apache-2.0
"""Spikes that wait in a core: when they are done, when sources are held and may go on."""

import pytest

from stemcore.compiler.estimation.spike_backlog import SpikeBacklog
from stemcore.golden.spec.timing import SPIKE_CYCLES


def waiting(start=0.0, high=20, low=10):
    return SpikeBacklog(start, high, low)


def test_loop_nests_begin_when_the_first_spike_is_through_the_queue():
    spikes = waiting()
    spikes.take(100.0, 110.0, 10.0, 50.0)
    assert spikes.done[-1] == 100 + SPIKE_CYCLES + 50


def test_loop_nests_follow_each_other_without_a_gap():
    spikes = waiting()
    spikes.take(0.0, 10.0, 10.0, 50.0)
    spikes.take(10.0, 20.0, 10.0, 30.0)
    assert spikes.done[-1] == SPIKE_CYCLES + 80


def test_a_core_that_spikes_come_to_slowly_waits_for_them():
    spikes = waiting()
    for burst in range(4):
        spikes.take(100.0 * burst, 100.0 * burst + 100, 5.0, 40.0)
    assert spikes.done[-1] == 300 + SPIKE_CYCLES + 40
    assert spikes.held_at is None


def test_no_loop_nest_begins_before_the_update_is_over():
    spikes = waiting(start=500.0)
    spikes.take(100.0, 110.0, 2.0, 6.0)
    assert spikes.done[-1] == 506
    assert spikes.level(400.0) == 2


def test_level_falls_evenly_between_bursts():
    spikes = waiting(start=SPIKE_CYCLES)
    spikes.take(0.0, 0.0, 10.0, 40.0)
    assert spikes.level(SPIKE_CYCLES) == 10
    assert spikes.level(SPIKE_CYCLES + 20) == 5
    assert spikes.level(SPIKE_CYCLES + 40) == 0


def test_sources_are_held_from_the_cycle_in_which_the_level_is_high():
    spikes = waiting(start=1000.0)
    spikes.take(0.0, 10.0, 20.0, 20.0)
    assert spikes.held_at is None  # as many as may wait, none more
    spikes.take(10.0, 20.0, 10.0, 10.0)
    assert spikes.held_at == 10
    # ... which stays when more come.
    spikes.take(20.0, 30.0, 10.0, 10.0)
    assert spikes.held_at == 10


def test_level_crosses_within_a_burst():
    spikes = waiting(start=1000.0)
    spikes.take(0.0, 40.0, 40.0, 40.0)
    assert spikes.held_at == 20


def test_no_source_is_held_where_loop_nests_are_as_fast_as_spikes():
    spikes = waiting()
    for burst in range(100):
        spikes.take(16.0 * burst, 16.0 * burst + 16, 16.0, 16.0)
    assert spikes.held_at is None


@pytest.mark.parametrize("more", [2.0, 6.0])
def test_sources_go_on_when_few_are_left(more):
    spikes = waiting(start=100.0)
    spikes.take(0.0, 10.0, 30.0, 60.0)
    assert spikes.falls_at() == 140  # 20 of 30 done, two operations each
    spikes.take(10.0, 20.0, more, 2 * more)
    assert spikes.falls_at() == 140 + 2 * more
    assert spikes.level(spikes.falls_at()) == 10


def test_few_spikes_hold_nobody():
    spikes = waiting(start=100.0)
    spikes.take(0.0, 10.0, 10.0, 60.0)
    assert spikes.falls_at() == 100


def test_the_last_loop_nest_follows_the_last_spike_that_comes():
    spikes = waiting()
    spikes.take(100.0, 140.0, 4.0, 20.0)  # one in ten cycles, each five operations
    assert spikes.done[-1] == 100 + SPIKE_CYCLES + 20
    assert spikes.over_at == 130 + SPIKE_CYCLES + 5


def test_spikes_that_wait_are_over_with_their_work():
    spikes = waiting()
    spikes.take(0.0, 10.0, 10.0, 500.0)
    spikes.take(10.0, 20.0, 1.0, 5.0)
    assert spikes.done[-1] == SPIKE_CYCLES + 505
    assert spikes.over_at < spikes.done[-1]
