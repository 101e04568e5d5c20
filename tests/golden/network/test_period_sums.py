# SPDX-License-Identifier: Apache-2.0
"""Networks whose neuron models have a sum for every time step."""

import numpy as np
import pytest

from stemcore.golden.network.forward import Forward, run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST
from tests.support.modes import STEP_MODES
from tests.support.plain_network import plain_network
from tests.support.random_networks import random_images, random_stepped_network


@pytest.mark.parametrize("mode", STEP_MODES)
@pytest.mark.parametrize("case", range(4))
def test_run_network_in_16_bits_matches_plain_loops(case, mode, rng):
    network = random_stepped_network(rng, mode, max_size=6, max_channels=6)
    images = random_images(rng, network, 2)
    values, potentials = Forward(network).run_with_potentials(images)
    for n, image in enumerate(images):
        plain_values, plain_potentials = plain_network(network, image)
        for name, expected in plain_potentials.items():
            np.testing.assert_array_equal(potentials[name][n], expected, err_msg=name)
        for name, expected in plain_values.items():
            np.testing.assert_array_equal(values[name][n], expected, err_msg=name)


def wide_sum(shift):
    """Two inputs of 8 bits onto one neuron, weights 127 and -127 shifted left."""
    weight = np.array([127, -127], np.int8).reshape(1, 2, 1, 1)
    layer = Layer(
        "sum",
        (1, 1, 1),
        (Connection(INPUT, weight, shift=shift),),
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        np.full(1, 8),
        neuron=Late(0),
    )
    return Network("wide", Population(INPUT, (2, 1, 1), 8, False), (layer,), {})


def test_run_network_refuses_sums_of_a_time_step_beyond_16_bits():
    message = (
        r"^sum: the weight sum of a time step must fit in 16 signed bits, channel 0 reached "
        rf"{127 << 9}\.\.{127 << 9} at t = 3; use smaller weights or exact integration$"
    )
    with pytest.raises(ValueError, match=message):
        run_network(wide_sum(9), np.array([16, 0]).reshape(1, 2, 1, 1))
    # Two that cancel out are no harm, and neither is saturation.
    run_network(wide_sum(9), np.array([255, 255]).reshape(1, 2, 1, 1))
    _, potentials = Forward(wide_sum(8)).run_with_potentials(
        np.array([[255, 0], [0, 255]]).reshape(2, 2, 1, 1)
    )
    assert potentials["sum"].reshape(-1).tolist() == [HIGHEST, LOWEST]


def test_sources_of_different_length_are_refused():
    network = wide_sum(0)
    weight = np.ones((1, 1, 1, 1), np.int8)
    short = Layer(
        "short",
        (1, 1, 1),
        (Connection("sum", weight),),
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        np.zeros(1, np.int64),
        bits=4,
        neuron=Late(0),
    )
    both = Layer(
        "both",
        (1, 1, 1),
        (Connection("short", weight), Connection("sum", weight)),
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        np.zeros(1, np.int64),
        neuron=Late(0),
    )
    network = Network("lengths", network.input, (*network.layers, short, both), {})
    message = r"^both: integration .* one length, got short of 4, sum of 8; quantize them to the"
    with pytest.raises(ValueError, match=message):
        run_network(network, np.zeros((1, 2, 1, 1), int))
