# SPDX-License-Identifier: Apache-2.0
"""Parts of a batch beside each other: every item once, errors told, results the same."""

import os
import threading

import numpy as np
import pytest

from stemcore.golden.arithmetic import threads
from stemcore.golden.arithmetic.threads import for_each
from stemcore.golden.network.forward import Forward
from tests.support.random_networks import random_images, random_network


@pytest.fixture(params=[1, 3])
def processors(request, monkeypatch):
    monkeypatch.setattr(threads, "n_processors", lambda: request.param)
    return request.param


@pytest.mark.parametrize(("n_cpus", "expected"), [(7, 7), (None, 1)])
def test_processors_are_counted_where_the_system_has_no_affinity(n_cpus, expected, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: n_cpus)
    threads.n_processors.cache_clear()
    try:
        assert threads.n_processors() == expected
    finally:
        threads.n_processors.cache_clear()


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_every_item_is_done_once(n, processors):
    done = []
    for_each(done.append, range(n))
    assert sorted(done) == list(range(n))


def test_items_run_beside_each_other(monkeypatch):
    monkeypatch.setattr(threads, "n_processors", lambda: 2)
    meet = threading.Barrier(2, timeout=10)  # BrokenBarrierError if one waits for nobody
    for_each(lambda _: meet.wait(), range(2))


def test_the_first_error_is_raised(processors):
    def fail(item):
        if item >= 2:
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match=r"^item 2$"):
        for_each(fail, range(6))


@pytest.mark.parametrize("n_images", [0, 1, 2, 5, 9])
def test_parts_of_a_batch_give_what_the_whole_gives(n_images, rng, monkeypatch):
    network = random_network(rng)
    images = random_images(rng, network, n_images)
    whole = Forward(network, acc_width=32, batch=16)
    monkeypatch.setattr("stemcore.golden.network.forward.n_processors", lambda: 1)
    values = whole.run(images)
    monkeypatch.setattr("stemcore.golden.network.forward.n_processors", lambda: 3)
    monkeypatch.setattr(threads, "n_processors", lambda: 3)
    parts = Forward(network, acc_width=32, batch=2).run(images)
    assert list(parts) == list(values)
    for name, expected in values.items():
        np.testing.assert_array_equal(parts[name], expected)
