# SPDX-License-Identifier: Apache-2.0
"""Sources that fire at once share links: what each gets, and which links they contend for."""

import numpy as np
import pytest

from stemcore.compiler.estimation.estimate import estimate_images
from stemcore.compiler.estimation.flows import Flows
from stemcore.compiler.estimation.shared_links import shared_links, time_on_link
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.spec.presets import get_preset
from tests.support.chains import chain

TINY = get_preset("tiny")


def by_turns(n_flits, rates):
    """Cycles of the first source when a router lets one flit a cycle pass, each source in turn.

    The others' flits come at their rates, for as long as the first one has any.
    """
    waiting, last, cycle = [float(n_flits), *(0.0 for _ in rates)], 0, 0
    while waiting[0] > 0:
        for i, rate in enumerate(rates, start=1):
            waiting[i] += rate
        for step in range(1, len(waiting) + 1):
            i = (last + step) % len(waiting)
            if waiting[i] >= 1:
                waiting[i] -= 1
                last = i
                break
        cycle += 1
    return cycle


@pytest.mark.parametrize(
    ("rates", "cycles"),
    [([], 24), ([1.0], 48), ([0.5], 48), ([0.25], 32), ([1.0, 1.0], 72), ([0.25, 1.0], 64)],
)
def test_a_source_waits_for_as_many_flits_of_another_as_it_sends_itself(rates, cycles):
    assert time_on_link(24, rates) == pytest.approx(cycles)


def test_shares_are_those_of_routers_that_take_turns():
    rng = np.random.default_rng(0)
    for _ in range(40):
        rates = list(rng.choice([0.02, 0.1, 0.3, 0.6, 1.0], int(rng.integers(0, 5))))
        n_flits = int(rng.integers(200, 400))
        want = by_turns(n_flits, rates)
        assert time_on_link(n_flits, rates) == pytest.approx(want, rel=0.03)


def test_nothing_to_send_takes_no_time():
    assert time_on_link(0.0, [1.0, 0.5]) == 0.0


def two_outputs():
    """Two cores, each with half of an output that goes to the host."""
    return compile_network(chain((1, 8, 8), 4), TINY, columns=2, rows=1, cores=2)


def test_outputs_of_two_cores_share_the_link_to_the_host():
    flows = Flows(two_outputs())
    assert flows.host == 2
    found = shared_links(flows, lambda number: 1)
    for number in (0, 1):
        assert (1.0, [(1 - number, 1.0)]) in found[number]
    assert found[flows.host] == []  # nobody else sends on the host's own link
    # Who sends a flit in two cycles leaves the other one its cycle.
    assert shared_links(flows, lambda number: 2) == [[], [], []]


def test_a_link_carries_a_flit_a_cycle():
    program = two_outputs()
    images = np.zeros((2, 1, 8, 8), np.int64)
    fired = np.full((2, 4, 8, 8), 255)  # a spike of each neuron in each of 8 time steps
    n_spikes = fired[0].size * 8
    both = estimate_images(program, images, {"layer0": fired})
    assert n_spikes <= both.latency < 1.2 * n_spikes
    halves = []
    for silent in (slice(0, 4), slice(4, 8)):
        one = fired.copy()
        one[:, :, silent] = 0
        halves.append(estimate_images(program, images, {"layer0": one}).latency)
    # A core by itself takes as long for its half, whichever it is.
    assert max(halves) < 1.2 * n_spikes / 2
