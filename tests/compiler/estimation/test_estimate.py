# SPDX-License-Identifier: Apache-2.0
"""Counts of the estimate are exact for the spikes of an image; times follow from counts."""

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST
from stemcore.golden.spec.timing import update_cycles
from tests.support.chains import chain
from tests.support.random_networks import random_images, random_network

TINY = get_preset("tiny")


def spikes_of(network, images, values):
    spikes = {INPUT: count_spikes(images[0], network.input.bits)}
    for layer in network.layers:
        spikes[layer.name] = count_spikes(values[layer.name][0], layer.bits)
    return spikes


@pytest.mark.medium
def test_counts_are_those_of_the_program_engine(rng):
    for _ in range(15):
        network = random_network(rng)
        program = compile_network(network, TINY, columns=3, rows=3)
        images = random_images(rng, network, 1)
        result = run_program(program, images)
        got = estimate(program, spikes_of(network, images, result.values))
        for field, counter in (
            ("operations", "ops"),
            ("sops", "sops"),
            ("spikes_in", "spikes_in"),
            ("packets", "spikes_out"),
            ("fired", "fired"),
        ):
            counts = [getattr(core, field) for core in got.cores]
            np.testing.assert_array_equal(counts, result.counters[counter][0], err_msg=field)
        assert got.input_packets == result.input_spikes[0]
        assert got.output_packets == count_spikes(result.outputs, network.output.bits).sum()
        assert got.sops == result.counters["sops"].sum()


def test_links_carry_what_arrives(rng):
    network = random_network(rng)
    program = compile_network(network, TINY, columns=3, rows=3)
    got = estimate(program)
    into_mesh = sum(load for (a, _), load in got.links.items() if a == HOST)
    out_of_mesh = sum(load for (_, b), load in got.links.items() if b == HOST)
    assert into_mesh == got.input_packets
    assert out_of_mesh == got.output_packets
    assert got.busiest_link[1] == max(got.links.values())


def test_interval_of_one_core_is_accumulation_and_update():
    network = chain((4, 4, 4), ("dense", 8))
    program = compile_network(network, TINY, cores=1)
    got = estimate(program, {INPUT: 3.0, "layer0": 1.0})
    assert len(got.cores) == 1
    core = got.cores[0]
    assert core.operations == 64 * 3 * 2
    assert core.sops == 64 * 3 * 8
    n_update = int(program.cores[0].memories[Memory.CONTROL][Control.N_UPDATE, 0])
    assert core.update_pass == update_cycles(TINY, n_update)
    assert core.busy <= got.interval <= core.busy + 50
    assert got.latency > core.busy


@pytest.mark.medium
def test_interval_is_at_least_that_of_the_busiest_core(rng):
    for _ in range(10):
        got = estimate(compile_network(random_network(rng), TINY, columns=3, rows=3))
        assert got.interval >= got.busiest_core.busy
        assert got.latency >= got.interval


def test_more_activity_takes_longer(rng):
    program = compile_network(random_network(rng), TINY, columns=3, rows=3)
    quiet = estimate(program, {INPUT: 0.5})
    loud = estimate(program, {INPUT: 5.0})
    assert quiet.interval <= loud.interval
    assert quiet.latency < loud.latency


def test_activity_of_an_unknown_population_is_refused():
    program = compile_network(chain((1, 4, 4), 4), TINY)
    with pytest.raises(
        CompileError, match=r"^activity: must name populations of the network, got x"
    ):
        estimate(program, {"x": 1.0})
