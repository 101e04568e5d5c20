# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.engines.compare import (
    Difference,
    chip_difference,
    compare_values,
    populations_of,
    sent_values,
)
from stemcore.runtime.engines.run import run_engine
from tests.support.hand_programs import conv_chain_program
from tests.support.random_networks import random_images

CONV, DENSE = Population("conv", (2, 3, 4), 4, False), Population("dense", (3, 1, 1), 5, True)
NAMES = ("golden", "RTL")


@pytest.fixture
def values(rng):
    return {
        p.name: rng.integers(p.limits[0], p.limits[1] + 1, (3, *p.shape)) for p in (CONV, DENSE)
    }


def changed(values, name, index, value):
    array = values[name].copy()
    array[index] = value
    return {**values, name: array}


def test_equal_values_give_the_number_of_spikes(values):
    n = compare_values((CONV, DENSE), values, values, names=NAMES)
    assert n == sum(int(count_spikes(values[p.name], p.bits).sum()) for p in (CONV, DENSE))


def test_first_difference_is_named_to_the_time_step(values):
    expected = changed(values, "conv", (1, 0, 2, 3), 0b1010)
    got = changed(values, "conv", (1, 0, 2, 3), 0b1001)
    message = (
        r"^conv: image 1, neuron \(channel 0, row 2, column 3\), time step 2: golden has 1, RTL "
        r"has 0 \(values 10 and 9; 1 of 24 neurons differ in this image\)$"
    )
    with pytest.raises(Difference, match=message):
        compare_values((CONV, DENSE), expected, got, names=NAMES)


def test_signed_values_differ_first_in_the_step_of_the_sign(values):
    expected = changed(values, "dense", (0, 2, 0, 0), -1)
    got = changed(values, "dense", (0, 2, 0, 0), 15)
    message = (
        r"^dense: image 0, neuron \(channel 2, row 0, column 0\), time step 0: torch has 1, golden "
        r"has 0 \(values -1 and 15; 1 of 3 neurons differ in this image\)$"
    )
    with pytest.raises(Difference, match=message):
        compare_values((CONV, DENSE), expected, got, names=("torch", "golden"))


def test_earliest_of_several_differences_is_named(values):
    expected = changed(values, "conv", (2, 0, 0, 0), 8)
    expected = changed(expected, "conv", (1, 1, 2, 0), 0b0100)
    expected = changed(expected, "conv", (1, 0, 0, 0), 0b0001)
    got = changed(expected, "conv", (2, 0, 0, 0), 0)
    got = changed(got, "conv", (1, 1, 2, 0), 0)
    got = changed(got, "conv", (1, 0, 0, 0), 0)
    got = changed(got, "dense", (0, 0, 0, 0), 1 - int(values["dense"][0, 0, 0, 0] == 1))
    # The layer goes before the image, the image before the time step, that before the neuron.
    message = (
        r"^conv: image 1, neuron \(channel 1, row 2, column 0\), time step 1: golden has 1, RTL "
        r"has 0 \(values 4 and 0; 2 of 24 neurons differ in this image\)$"
    )
    with pytest.raises(Difference, match=message):
        compare_values((CONV, DENSE), expected, got, names=NAMES)


def test_shapes_must_agree(values):
    got = {**values, "dense": values["dense"][:2]}
    message = r"^dense: RTL must have the shape of golden, \(3, 3, 1, 1\); got \(2, 3, 1, 1\)$"
    with pytest.raises(Difference, match=message):
        compare_values((CONV, DENSE), values, got, names=NAMES)


@pytest.mark.parametrize("side", [0, 1])
def test_every_population_must_be_there(values, side):
    both = [values, values]
    both[side] = {"conv": values["conv"]}
    with pytest.raises(KeyError, match=r"^'dense'$"):
        compare_values((CONV, DENSE), *both, names=NAMES)


def test_populations_come_in_the_order_of_the_layers():
    program, network = conv_chain_program()
    assert [p.name for p in populations_of(program)] == ["conv", "dense"]
    assert populations_of(network) == populations_of(program)


@pytest.fixture
def unread():
    """A layer of which a 1 x 1 convolution of stride 2 reads one position in four."""
    rng = np.random.default_rng(3)
    first = Layer(
        "first",
        (4, 4, 4),
        (Connection(INPUT, rng.integers(1, 90, (4, 1, 1, 1)).astype(np.int8)),),
        np.zeros(4, np.int64),
        np.ones(4, np.int64),
        np.full(4, 3),
    )
    second = Layer(
        "second",
        (3, 2, 2),
        (Connection("first", rng.integers(-90, 90, (3, 4, 1, 1)).astype(np.int8), (2, 2)),),
        np.zeros(3, np.int64),
        np.ones(3, np.int64),
        np.full(3, 6),
        is_signed=True,
    )
    scales = {INPUT: 1.0, "first": 1.0, "second": 1.0}
    source = Population(INPUT, (1, 4, 4), 6, False)
    network = Network("unread", source, (first, second), scales)
    return network, compile_network(network, get_preset("tiny"))


def test_neurons_that_nobody_hears_are_masked(unread, rng):
    network, program = unread
    values = run_network(network, random_images(rng, network, 2) | 1)
    sent = sent_values(program, values)
    received = np.zeros((4, 4), bool)
    received[::2, ::2] = True
    assert values["first"][:, :, ~received].any()
    assert not sent["first"][:, :, ~received].any()
    np.testing.assert_array_equal(sent["first"][:, :, received], values["first"][:, :, received])
    np.testing.assert_array_equal(sent["second"], values["second"])


@pytest.mark.medium
def test_masked_values_are_what_a_chip_sends(unread, rng):
    network, program = unread
    images = random_images(rng, network, 1)
    expected = sent_values(program, run_network(network, images))
    result = run_engine("amaranth", program, images)
    assert compare_values(populations_of(program), expected, result.values, names=NAMES) > 0


@pytest.fixture
def ran(unread, rng):
    """A network, its program, and what golden and the program engine make of two images."""
    network, program = unread
    images = random_images(rng, network, 2)
    return program, run_network(network, images), run_engine("program", program, images)


def on_links(program, ran):
    """A run as links show it: neurons that nobody listens to send nothing."""
    return dataclasses.replace(ran, values=sent_values(program, ran.values))


def test_a_chip_that_does_what_golden_says_has_no_difference(ran):
    program, golden, model = ran
    assert chip_difference(program, golden, on_links(program, model), NAMES, model) is None


def test_what_the_host_receives_is_compared(ran):
    program, golden, model = ran
    changed_output = model.outputs.copy()
    changed_output[1, 2, 0, 1] ^= 1
    other = dataclasses.replace(on_links(program, model), outputs=changed_output)
    message = "second: the host must receive what the cores fire; it received something else"
    assert chip_difference(program, golden, other, NAMES).startswith(message)


def test_counters_are_compared(ran):
    program, golden, model = ran
    node, counters = next(iter(model.counters.items()))
    wrong = {**model.counters, node: {**counters, "sops": counters["sops"] + 1}}
    other = dataclasses.replace(on_links(program, model), counters=wrong)
    assert chip_difference(program, golden, other, NAMES) is None
    layer = next(core.layer for core in program.cores if (core.x, core.y) == node)
    assert chip_difference(program, golden, other, NAMES, model) == (
        f"node {node} {layer}: counter sops must be {counters['sops']} as in engine 'program', "
        f"got {counters['sops'] + 1}"
    )
