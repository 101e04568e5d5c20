# SPDX-License-Identifier: Apache-2.0
"""Times of images follow from their spikes, in the order in which they are sent."""

import numpy as np
import pytest

from stemcore.compiler.estimation.estimate import estimate_images, spikes_of
from stemcore.compiler.estimation.flows import Flows
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.chains import chain
from tests.support.random_networks import random_images, random_network, random_stepped_network

TINY = get_preset("tiny")
EXCHANGE = 60  # cycles that tokens may take from one phase of a single core to the next


def times(program, images):
    return estimate_images(program, images, run_program(program, images).values)


def operations(program, images):
    """Of every core and image (images, cores)."""
    flows, values = Flows(program), run_program(program, images).values
    rows = []
    for k in range(len(images)):
        spikes = {INPUT: count_spikes(images[k], program.input.bits)} | {
            i.population.name: count_spikes(values[i.population.name][k], i.population.bits)
            for i in program.layers
        }
        rows.append(flows.loads(spikes_of(program, spikes)).received()[: flows.host])
    return np.array(rows)


def test_interval_of_one_core_is_accumulation_and_update(rng):
    program = compile_network(chain((4, 4, 4), ("dense", 8)), TINY, cores=1)
    images = rng.integers(0, 256, (6, 4, 4, 4))
    got = times(program, images)
    busy = operations(program, images)[:, 0]
    between = np.diff(got.end) - busy[1:]
    assert (between > 0).all() and (between < EXCHANGE).all()
    assert got.latency > busy[0]


@pytest.mark.medium
def test_nothing_is_faster_than_its_busiest_core(rng):
    for _ in range(10):
        network = random_network(rng)
        program = compile_network(network, TINY, columns=3, rows=3)
        images = random_images(rng, network, 4)
        got = times(program, images)
        assert (np.diff(got.start) > 0).all() and (np.diff(got.end) > 0).all()
        assert (got.end - got.start >= operations(program, images).max(axis=1)).all()


@pytest.mark.medium
def test_every_image_of_a_stepped_program_ends(rng):
    params = TINY.with_integration("late")
    network = random_stepped_network(rng, "late", max_channels=4, max_size=4)
    program = compile_network(network, params, columns=4, rows=4)
    images = random_images(rng, network, 3)
    got = times(program, images)
    assert (got.end > got.start).all() and (np.diff(got.end) > 0).all()


def test_one_image_has_no_other_interval_than_its_latency(rng):
    program = compile_network(chain((1, 4, 4), 4), TINY)
    got = times(program, rng.integers(0, 256, (1, 1, 4, 4)))
    assert got.interval == got.latency == got.end[0] - got.start[0]


def halves(left, right):
    """Six equal images for two cores, each of which reads a half and the other's border.

    ``left`` and ``right`` are the values of the halves.
    """
    image = np.zeros((1, 2, 8, 8), np.int64)
    image[..., :4], image[..., 4:] = left, right
    return np.repeat(image, 6, axis=0)


def two_cores(**changes):
    return compile_network(chain((2, 8, 8), 4), TINY.with_(**changes), columns=2, rows=1, cores=2)


def test_cores_with_spikes_in_different_time_steps_take_turns():
    program = two_cores()
    together, apart = halves(0xF0, 0xF0), halves(0xF0, 0x0F)
    work = operations(program, together)
    np.testing.assert_array_equal(work, operations(program, apart))
    flows = Flows(program)
    update_pass = max(
        flows.register(n, Control.N_UPDATE) * TINY.n_groups for n in range(flows.host)
    )
    alone = work.max() + update_pass
    assert times(program, together).interval <= 1.05 * alone + EXCHANGE
    assert times(program, apart).interval >= 1.5 * alone


@pytest.mark.medium
def test_a_longer_queue_bridges_more():
    images = halves(0xCC, 0x33)
    intervals = [times(two_cores(n_spikes=n), images).interval for n in (8, 64, 512)]
    assert intervals[0] > 1.1 * intervals[1] > 1.2 * intervals[2]


@pytest.mark.medium
@pytest.mark.parametrize("n_images", [1, 3])
def test_times_of_images_do_not_rest_on_those_that_follow(n_images, rng):
    network = random_network(rng)
    program = compile_network(network, TINY, columns=3, rows=3)
    images = random_images(rng, network, 4)
    some, all_of_them = times(program, images[:n_images]), times(program, images)
    assert some.end[0] == all_of_them.end[0]
    assert len(some.end) == n_images
