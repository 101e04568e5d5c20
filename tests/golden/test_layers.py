# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from golden.convolution import connection_shape
from golden.layers import PreparedLayer, max_pool
from golden.network import INPUT, Connection, Layer, MaxPool, Network, Population
from tests.support.random_networks import random_weight

SOURCE = Population(INPUT, (4, 7, 6), 8, False)


def one_layer(connections, *, source=SOURCE, **changes):
    shape = connection_shape(connections[0], source)
    n = shape[0]
    fields = {
        "bias": np.zeros(n, np.int64),
        "multiplier": np.ones(n, np.int64),
        "shift": np.full(n, 8),
        **changes,
    }
    layer = Layer("layer", shape, tuple(connections), **fields)
    return layer, Network("one", source, (layer,), {})


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({}, "shift"),
        ({"multiplier": np.array([1, 40000, 1])}, "product"),
        # The bias alone reaches the 48th bit of the product.
        ({"bias": np.array([0, 1 << 30, 0]), "bias_shift": 3}, "integer"),
        ({"multiplier": np.full(3, 65535), "bias": np.full(3, -(1 << 31)), "bias_shift": 2},
         "integer"),
    ],
)  # fmt: skip
def test_prepared_layer_chooses_a_form_that_is_exact(changes, form, rng):
    connection = Connection(INPUT, random_weight(rng, 3, 4, 3, 3))
    layer, network = one_layer([connection], **changes)
    assert PreparedLayer(layer, network, 24).form == form


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 1)])
def test_max_pool_ignores_what_lies_outside(padding, rng):
    values = rng.integers(-127, -1, (2, 5, 6, 3))
    pool = MaxPool((3, 2), (2, 1), padding)
    out = max_pool(values, pool)
    for oy in range(out.shape[1]):
        for ox in range(out.shape[2]):
            y, x = 2 * oy - padding[0], ox - padding[1]
            window = values[:, max(y, 0) : y + 3, max(x, 0) : x + 2]
            np.testing.assert_array_equal(out[:, oy, ox], window.max(axis=(1, 2)))


WEIGHT = np.ones((3, 4, 3, 3), np.int8)


@pytest.mark.parametrize(
    ("connections", "changes", "message"),
    [
        (
            [Connection(INPUT, WEIGHT)], {"bias": np.zeros(4, np.int64)},
            r"^layer: bias must have shape \(3,\), got \(4,\)$",
        ),
        (
            [Connection(INPUT, WEIGHT)], {"table": np.arange(16)},
            r"^layer: table must have 256 entries for 8 bits, got shape \(16,\)$",
        ),
        (
            [Connection(INPUT, WEIGHT)], {"table": np.arange(256) - 1},
            r"^layer: table entries must lie in 0\.\.255, got -1\.\.254$",
        ),
        (
            [Connection(INPUT, WEIGHT, groups=3)], {},
            r"^layer: weight \(3, 4, 3, 3\) in 3 groups does not fit the 4 channels of input$",
        ),
        (
            [Connection(INPUT, WEIGHT), Connection(INPUT, WEIGHT, padding=(1, 1))], {},
            r"^layer: connection from input must give shape \(3, 5, 4\), gives \(3, 7, 6\)$",
        ),
    ],
)  # fmt: skip
def test_prepared_layer_names_what_does_not_fit(connections, changes, message):
    layer, network = one_layer(connections, **changes)
    with pytest.raises(ValueError, match=message):
        PreparedLayer(layer, network, 24)
