# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from compiler.backend import compile_network
from compiler.errors import PartitionError
from compiler.split import part_name, split_layers
from golden.forward import n_sops, run_network
from golden.mesh import run_program
from golden.network import INPUT, Connection, Layer, Network, Population
from golden.params import get_preset
from tests.support.random_networks import random_images, random_network, random_weight

# Kernels of a layer of the random networks below have more words than this.
NARROW = get_preset("tiny").with_(
    n_weight_words=100, shift_width=5, n_axons=24, c_width=8, n_table_c=256, coord_width=4
)


SPLIT_SEEDS = (4, 5, 10, 12, 20)


def splitting_network(seed):
    """A generator and a random network, of which preset NARROW has to split a layer."""
    rng = np.random.default_rng((8, seed))
    return rng, random_network(rng, n_layers=3, max_channels=20)


def one_layer(rng, params, *, channels=12, kernel=(3, 3), groups=1, **changes):
    """A convolution of 8 channels at 5 x 5."""
    weight = random_weight(rng, 8, channels // groups, *kernel)
    connection = Connection(INPUT, weight, padding=(1, 1), groups=groups)
    zeros = np.zeros(8, np.int64)
    shape = (8, 7 - kernel[0], 7 - kernel[1])
    layer = Layer("wide", shape, (connection,), zeros, zeros + 1, zeros + 9, **changes)
    source = Population(INPUT, (channels, 5, 5), 8, True)
    return Network("one", source, (layer,), {INPUT: 1.0, "wide": 1.0})


def assert_same_function(network, split, images, acc_width):
    wanted = run_network(network, images, acc_width=acc_width, keep_potentials=True)
    got = run_network(split, images, acc_width=acc_width, keep_potentials=True)
    for what in (0, 1):  # values, potentials
        for name, values in wanted[what].items():
            np.testing.assert_array_equal(got[what][name], values, err_msg=name)


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_split_keeps_all_values_and_potentials(seed, general):
    rng = np.random.default_rng((7, seed))
    network = random_network(rng, general=general)
    split = split_layers(network, NARROW)
    images = random_images(rng, network, 3)
    assert_same_function(network, split, images, NARROW.acc_width)


@pytest.mark.parametrize("seed", SPLIT_SEEDS)
def test_program_of_split_network_is_exact(seed):
    rng, network = splitting_network(seed)
    split = split_layers(network, NARROW)
    assert len(split.layers) > len(network.layers)
    images = random_images(rng, network, 2)
    assert_same_function(network, split, images, NARROW.acc_width)
    expected = run_network(split, images)
    result = run_program(compile_network(split, NARROW), images)
    for layer in split.layers:
        np.testing.assert_array_equal(result.values[layer.name], expected[layer.name], layer.name)
