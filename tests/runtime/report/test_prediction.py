# SPDX-License-Identifier: Apache-2.0
"""What is said of a run before it: times of so many images, loads of all."""

import numpy as np

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.report.prediction import describe_times, predict
from tests.support.chains import chain

NETWORK = chain((2, 4, 4), 4, ("dense", 3))


def predicted(images, n_timed):
    program = compile_network(NETWORK, get_preset("tiny"), columns=3, rows=2)
    return predict(program, images, run_program(program, images).values, n_timed=n_timed)


def test_times_are_those_of_the_first_images(rng):
    images = rng.integers(0, 256, (5, 2, 4, 4))
    some, first = predicted(images, 3), predicted(images[:3], 3)
    assert some["images"] == 3
    assert (some["interval"], some["latency"]) == (first["interval"], first["latency"])
    assert some["busiest_core"]["cycles"] != first["busiest_core"]["cycles"]
    assert predicted(images, 99)["images"] == 5


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
