# SPDX-License-Identifier: Apache-2.0
"""Times of layers against the estimate of their program's cores."""

import json

import numpy as np
import pytest

from stemcore.compiler.activity import population_maps
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.sparsity.cycles import plain_times, times_of
from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.sparsify.layer_times import layer_times
from tests.support.random_networks import random_network


def test_times_are_those_of_the_busiest_cores(rng):
    network, params = random_network(rng), get_preset("sim32")
    program = compile_network(network, params)
    shapes = {INPUT: network.input.shape} | {x.name: x.out_shape for x in network.layers}
    activity = population_maps(shapes)
    estimated = estimate(program, activity)
    times = layer_times(network, activity, estimated)
    assert list(times) == [x.name for x in network.layers]
    for name, time in times.items():
        busy = max(core.busy for core in estimated.cores if core.layer == name)
        assert time.with_spikes({}, 1.0) == pytest.approx(busy, rel=1e-12)
        assert sum(time.shares.values()) == pytest.approx(1.0, rel=1e-12)
        assert time.with_spikes(dict.fromkeys(time.shares, 0.0), 0.0) == time.update_pass
    assert times_of(json.loads(json.dumps(plain_times(times)))) == times


def test_a_silent_network_has_times_too(rng):
    network = random_network(rng)
    shapes = {INPUT: network.input.shape} | {x.name: x.out_shape for x in network.layers}
    silent = {name: np.zeros(shape) for name, shape in shapes.items()}
    program = compile_network(network, get_preset("sim32"), activity=silent)
    times = layer_times(network, silent, estimate(program, silent))
    assert all(not any(time.shares.values()) for time in times.values())
