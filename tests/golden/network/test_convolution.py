# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.network.convolution import Convolution, connection_shape, potential_bounds
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from tests.support.plain_network import plain_potentials
from tests.support.random_networks import random_image, random_weight

SOURCE = Population(INPUT, (4, 7, 6), 8, False)


def one_layer(connection):
    shape = connection_shape(connection, SOURCE)
    zeros = np.zeros(shape[0], np.int64)
    layer = Layer("layer", shape, (connection,), zeros, zeros + 1, zeros)
    return layer, Network("one", SOURCE, (layer,), {})


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3), (7, 6)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 2)])
@pytest.mark.parametrize(("groups", "c_out"), [(1, 5), (2, 6), (4, 4), (4, 8)])
def test_convolution_matches_plain_loops(kernel, stride, padding, groups, c_out, rng):
    weight = random_weight(rng, c_out, 4 // groups, *kernel)
    connection = Connection(INPUT, weight, stride, padding, groups, shift=2)
    layer, network = one_layer(connection)
    images = random_image(rng, SOURCE, 2)
    convolve = Convolution(connection, SOURCE, np.ones(c_out))
    x = images.transpose(0, 2, 3, 1).astype(np.float32)
    for _ in range(2):  # the second time in used scratch memory
        z = convolve(x).transpose(0, 3, 1, 2)
        for image, potentials in zip(images, z, strict=True):
            np.testing.assert_array_equal(
                potentials, plain_potentials(network, layer, {INPUT: image})
            )


def test_convolution_takes_batches_of_changing_size(rng):
    connection = Connection(INPUT, random_weight(rng, 3, 4, 3, 3), padding=(1, 1))
    convolve = Convolution(connection, SOURCE, np.ones(3))
    x = random_image(rng, SOURCE, 5).transpose(0, 2, 3, 1).astype(np.float32)
    whole = convolve(x).copy()
    for part in (slice(0, 1), slice(1, 4), slice(0, 5), slice(3, 4)):
        np.testing.assert_array_equal(convolve(x[part]), whole[part])


@pytest.mark.parametrize(
    ("fan_in", "dtype"), [(1, np.float32), (500, np.float32), (530, np.float64)]
)
def test_convolution_is_float32_only_below_its_exact_range(fan_in, dtype):
    source = Population(INPUT, (fan_in, 1, 1), 8, False)
    weight = np.full((2, fan_in, 1, 1), 127, np.int8)
    weight[1] = -127
    convolve = Convolution(Connection(INPUT, weight), source, np.ones(2))
    assert convolve.dtype == dtype
    z = convolve(np.full((1, 1, 1, fan_in), 255, np.float32))
    np.testing.assert_array_equal(z.reshape(-1), [127 * 255 * fan_in, -127 * 255 * fan_in])


@pytest.mark.parametrize("is_signed", [False, True])
def test_potential_bounds_are_reached(is_signed, rng):
    source = Population(INPUT, (4, 3, 3), 5, is_signed)
    connection = Connection(INPUT, random_weight(rng, 6, 4, 3, 3), shift=3)
    smallest, largest = potential_bounds(connection, source)
    low, high = source.limits
    for c, weight in enumerate(connection.weight.astype(np.int64)):
        assert smallest[c] == (weight * np.where(weight > 0, low, high)).sum() << 3
        assert largest[c] == (weight * np.where(weight > 0, high, low)).sum() << 3
