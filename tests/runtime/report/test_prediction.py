# SPDX-License-Identifier: Apache-2.0
"""What is said of a run before it: times of so many images, loads of all."""

import numpy as np
import pytest

from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.report.prediction import describe_times, predict
from tests.support.chains import chain

NETWORK = chain((2, 4, 4), 4, ("dense", 3))


def predicted(images, n_timed):
    program = compile_network(NETWORK, get_preset("tiny"), columns=3, rows=2)
    return predict(program, images, run_program(program, images).values, n_timed=n_timed)


@pytest.mark.medium
def test_times_are_those_of_the_first_images(rng):
    images = rng.integers(0, 256, (5, 2, 4, 4))
    some, first = predicted(images, 3), predicted(images[:3], 3)
    assert some["images"] == 3
    assert (some["interval"], some["latency"]) == (first["interval"], first["latency"])
    assert some["busiest_core"]["cycles"] != first["busiest_core"]["cycles"]
    assert predicted(images, 99)["images"] == 5


@pytest.mark.medium
def test_one_image_has_the_interval_of_two_like_it(rng):
    image = rng.integers(0, 256, (1, 2, 4, 4))
    one, two = predicted(image, 1), predicted(np.repeat(image, 2, axis=0), 2)
    assert one["images"] == 1
    assert (one["interval"], one["latency"]) == (two["interval"], two["latency"])
    assert one["interval"] < one["latency"]
    assert f"one every {one['interval']:,.0f}, " in describe_times(one)


def test_an_image_without_spikes_passes_all_the_same():
    got = predicted(np.zeros((2, 2, 4, 4), np.int64), 2)
    assert 0 < got["interval"] <= got["latency"]


@pytest.mark.medium
def test_cores_in_turn_are_predicted_with_their_loads(rng):
    program = compile_network(NETWORK, get_preset("tiny"), columns=3, rows=2)
    images = rng.integers(0, 256, (3, 2, 4, 4))
    values = run_program(program, images).values

    def turns(batch, n_images):
        chip = virtual_chip(program, 1, batch=batch)
        return predict(program, images[:n_images], values, n_timed=n_images, chip=chip)

    together, apart = turns(3, 3), turns(1, 3)
    assert together["virtual"]["load"] == apart["virtual"]["load"] > 0
    # Three loads in the place of one: an image has two thirds of a load more, and fills pipelines.
    assert apart["interval"] - together["interval"] > 2 / 3 * together["virtual"]["load"]
    assert apart["latency"] < together["latency"] < 3 * together["interval"]
    assert together["virtual"]["compute"] < together["interval"]
    assert together["busiest_link"]["from"] in ([0, 0], [0, 1])
    assert predict(program, images, values, n_timed=3).keys() == together.keys() - {"virtual"}
