# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.network.convolution import connection_shape
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.layers import PreparedLayer, check_layer, max_pool
from stemcore.golden.network.network import (
    INPUT,
    Connection,
    Digits,
    Layer,
    MaxPool,
    Network,
    Population,
)
from stemcore.golden.network.requantizers import FloatProduct, FoldedShift, IntegerProduct
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
    ("changes", "kind"),
    [
        ({}, FoldedShift),
        ({"multiplier": np.array([1, 40000, 1])}, FloatProduct),
        # The bias alone reaches the 48th bit of the product.
        ({"bias": np.array([0, 1 << 30, 0]), "bias_shift": 3}, IntegerProduct),
        (
            {"multiplier": np.full(3, 65535), "bias": np.full(3, -(1 << 31)), "bias_shift": 2},
            IntegerProduct,
        ),
    ],
)
def test_prepared_layer_chooses_a_requantizer_that_is_exact(changes, kind, rng):
    connection = Connection(INPUT, random_weight(rng, 3, 4, 3, 3))
    layer, network = one_layer([connection], **changes)
    assert isinstance(PreparedLayer(layer, network, 24).requantize, kind)


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
            [Connection(INPUT, WEIGHT)],
            {"bias": np.zeros(4, np.int64)},
            r"^layer: bias must have shape \(3,\), got \(4,\)$",
        ),
        (
            [Connection(INPUT, WEIGHT)],
            {"table": np.arange(16)},
            r"^layer: table must have 256 entries for 8 bits, got shape \(16,\)$",
        ),
        (
            [Connection(INPUT, WEIGHT)],
            {"table": np.arange(256) - 1},
            r"^layer: table entries must lie in 0\.\.255, got -1\.\.254$",
        ),
        (
            [Connection(INPUT, WEIGHT, groups=3)],
            {},
            r"^layer: weight \(3, 4, 3, 3\) in 3 groups does not fit the 4 channels of input$",
        ),
        (
            [Connection(INPUT, WEIGHT), Connection(INPUT, WEIGHT, padding=(1, 1))],
            {},
            r"^layer: connection from input must give shape \(3, 5, 4\), gives \(3, 7, 6\)$",
        ),
    ],
)
def test_prepared_layer_names_what_does_not_fit(connections, changes, message):
    layer, network = one_layer(connections, **changes)
    with pytest.raises(ValueError, match=message):
        PreparedLayer(layer, network, 24)


def digit_layer(**changes):
    """Two channels of 16-bit sums, fired as two bytes three channels apart."""
    weight = np.array([[[[100]]], [[[-100]]]], np.int8)
    bias, ones = np.array([0, 1 << 15]), np.ones(2, np.int64)
    layer = Layer(
        "part",
        (2, 1, 1),
        (Connection(INPUT, weight, shift=1, channels=(1, 2)),),
        bias,
        ones,
        0 * ones,
        digits=Digits(2, 3),
    )
    return replace(layer, **changes)


def test_digits_are_the_bytes_of_the_sum():
    source = Population(INPUT, (2, 1, 1), 8, False)
    network = Network("digits", source, (digit_layer(),), {})
    assert network.output.out_shape == (6, 1, 1)
    values = run_network(network, np.array([[[[9]], [[3]]], [[[9]], [[80]]]]))["part"]
    # 600 = 2 * 256 + 88 and 32768 - 600; 16000 and 32768 - 16000. Channel 0 is not read.
    np.testing.assert_array_equal(
        values.reshape(2, 6), [[88, 168, 0, 2, 125, 0], [128, 128, 0, 62, 65, 0]]
    )


BAD_LAYERS = {
    "step": (
        {"digits": Digits(2, 1)},
        r"^part: digits must be 1 or more, 2 channels or more apart, got 2, 1 apart",
    ),
    "shift": (
        {"digits": Digits(7, 2)},
        r"^part: the highest digit's shift must be at most 47, got 48",
    ),
    "bits": ({"bits": 7}, r"^part: digits need 8 unsigned bits, .* no pooling; got bits 7"),
    "pool": ({"pool": MaxPool((1, 1), (1, 1))}, r"^part: digits need .*, pool MaxPool"),
    "channels": (
        {"connections": (Connection(INPUT, np.ones((2, 1, 1, 1), np.int8), channels=(2, 3)),)},
        r"^part: channels 2\.\.2 must lie in the 2 of input",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_digits_and_spans_are_checked(changes, message):
    layer = digit_layer(**changes)
    network = Network("bad", Population(INPUT, (2, 1, 1), 8, False), (layer,), {})
    with pytest.raises(ValueError, match=message):
        check_layer(layer, network)
