# SPDX-License-Identifier: Apache-2.0
"""Bursts hold every spike that a source sends, in the order and at the pace of firing."""

import numpy as np
import pytest

from stemcore.compiler.estimation.burst_schedule import BurstSchedules
from stemcore.compiler.estimation.estimate import spikes_of
from stemcore.compiler.estimation.flows import Flows
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.arithmetic.stem import count_spikes, encode
from stemcore.golden.network.network import INPUT
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.chains import chain
from tests.support.random_networks import random_images, random_network
from tests.support.stepped_programs import stepped_core_program

TINY = get_preset("tiny")


def populations(program, images):
    """Values (C, H, W) of the first image, by population."""
    values = run_program(program, images).values
    return {INPUT: images[0]} | {name: array[0] for name, array in values.items()}


def compiled(network, images, **options):
    program = compile_network(network, TINY, **options)
    flows = Flows(program)
    return flows, BurstSchedules(flows), populations(program, images)


def sent_to(flows, number, trains):
    """Spikes and operations by target, over all bursts."""
    sums = {target: np.zeros(2) for target, _ in flows.ends[number]}
    for schedule in trains:
        for burst in schedule:
            for place, spikes, operations in burst.deliveries:
                sums[flows.ends[number][place][0]] += spikes, operations
    return sums


@pytest.mark.medium
def test_bursts_hold_what_the_loads_count(rng):
    for _ in range(10):
        network = random_network(rng)
        images = random_images(rng, network, 1)
        flows, trains, values = compiled(network, images, columns=3, rows=3)
        bits = {INPUT: network.input.bits} | {x.name: x.bits for x in network.layers}
        spikes = {name: count_spikes(array, bits[name]) for name, array in values.items()}
        loads = flows.loads(spikes_of(flows.program, spikes))
        received = np.zeros(flows.host + 1)
        for number in range(flows.host + 1):
            for target, (count, operations) in sent_to(
                flows, number, trains.of(number, values)
            ).items():
                received[target] += count
                assert operations == pytest.approx(loads.operations[number, target])
        np.testing.assert_allclose(received, loads.spikes_in)


@pytest.mark.parametrize("mode", ["late", "scaled"])
def test_a_time_step_is_a_train_where_tokens_stand_for_time_steps(mode, rng):
    network, program = stepped_core_program(rng, mode)
    images = random_images(rng, network, 1)
    flows, values = Flows(program), populations(program, images)
    trains = BurstSchedules(flows)
    (layer,) = network.layers
    for number, name, population in (
        (flows.host, INPUT, network.input),
        (0, layer.name, network.population(layer.name)),
    ):
        steps = trains.of(number, values)
        planes = encode(values[name], population.bits, population.is_signed)
        assert len(steps) == population.bits
        for schedule, plane in zip(steps, planes, strict=True):
            loads = flows.loads(spikes_of(program, {INPUT: 0.0, layer.name: 0.0, name: plane}))
            ((target, (count, operations)),) = sent_to(flows, number, [schedule]).items()
            assert count == pytest.approx(loads.spikes_in[target])
            assert operations == pytest.approx(loads.operations[number, target])


def test_a_train_takes_a_gap_for_each_flit_and_a_cycle_for_each_word():
    network = chain((1, 8, 8), 4, ("dense", 3))
    flows, trains, values = compiled(network, np.zeros((1, 1, 8, 8), np.int64), cores=2)
    first = flows.layers.index("layer0")
    words = flows.register(first, Control.N_FIRE)
    silent = {**values, "layer0": np.zeros((4, 8, 8), np.int64)}
    (schedule,) = trains.of(first, silent)
    assert sum(burst.cycles for burst in schedule) == pytest.approx(8 * words)
    assert all(burst.deliveries == [] for burst in schedule)
    loud = {**values, "layer0": np.full((4, 8, 8), 255)}
    (schedule,) = trains.of(first, loud)
    n_spikes = sum(count for burst in schedule for _, count, _ in burst.deliveries)
    assert n_spikes == pytest.approx(8 * 4 * words)
    assert sum(burst.cycles for burst in schedule) == pytest.approx(trains.gap(first) * n_spikes)


@pytest.mark.parametrize("t", [0, 3, 7])
def test_spikes_are_sent_in_their_time_step(t):
    network = chain((1, 8, 8), 4, ("dense", 3))
    flows, trains, values = compiled(network, np.zeros((1, 1, 8, 8), np.int64), cores=2)
    core = flows.layers.index("layer0")
    words = flows.register(core, Control.N_FIRE)
    (schedule,) = trains.of(core, {**values, "layer0": np.full((4, 8, 8), 128 >> t)})
    cycles = np.cumsum([0, *(burst.cycles for burst in schedule)])
    loud = [k for k, burst in enumerate(schedule) if burst.deliveries]
    longest = max(burst.cycles for burst in schedule)
    assert cycles[loud[0]] == pytest.approx(t * words, abs=longest)
    assert cycles[-1] - cycles[loud[-1] + 1] == pytest.approx((7 - t) * words, abs=longest)


def test_routes_of_the_host_take_turns():
    image = np.zeros((1, 1, 8, 8), np.int64)
    image[0, 0, :, :] = 128
    flows, trains, values = compiled(chain((1, 8, 8), 4), image, columns=2, rows=1, cores=2)
    assert flows.host == 2
    (schedule,) = trains.of(flows.host, values)
    for burst in schedule[:-1]:
        assert {place for place, _, _ in burst.deliveries} == {0, 1}
