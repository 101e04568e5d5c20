# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.arithmetic.activation_tables import rot
from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.forward import Forward, n_sops, run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, MaxPool, Network, Population
from tests.support.plain_network import plain_network
from tests.support.random_networks import random_image, random_network, random_weight


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("case", range(8))
def test_run_network_matches_plain_loops(case, general, rng):
    network = random_network(rng, general=general, max_size=6, max_channels=6)
    images = random_image(rng, network.input, 2)
    values, potentials = Forward(network, acc_width=32).run_with_potentials(images)
    assert list(values) == [INPUT, *(layer.name for layer in network.layers)]
    for i, image in enumerate(images):
        plain_values, plain_potentials = plain_network(network, image)
        for name, expected in plain_potentials.items():
            np.testing.assert_array_equal(potentials[name][i], expected, err_msg=name)
        for name, expected in plain_values.items():
            np.testing.assert_array_equal(values[name][i], expected, err_msg=name)


def test_run_network_does_not_depend_on_batches_or_on_what_is_kept(rng):
    network = random_network(rng, n_layers=3)
    images = random_image(rng, network.input, 7)
    whole = run_network(network, images)
    prepared = Forward(network, batch=3)
    for keep in (None, [network.output.name], [INPUT]):
        for _ in range(2):
            values = prepared.run(images, keep=keep)
            assert set(values) == (set(whole) if keep is None else set(keep))
            for name in values:
                np.testing.assert_array_equal(values[name], whole[name], err_msg=name)
    empty = prepared.run(images[:0])
    assert empty[network.output.name].shape == (0, *network.output.out_shape)


def one_convolution(rng, *, source_bits=8, is_signed=False, table=None, pool=None, groups=1):
    source = Population(INPUT, (4, 5, 6), source_bits, is_signed)
    weight = random_weight(rng, 8, 4 // groups, 3, 3)
    connection = Connection(INPUT, weight, (2, 1), (1, 1), groups)
    layer = Layer(
        "conv",
        (8, 3, 6),
        (connection,),
        np.zeros(8, np.int64),
        np.ones(8, np.int64),
        np.full(8, 8),
        table=table,
        pool=pool,
    )
    return Network("one", source, (layer,), {})


@pytest.mark.parametrize("table", [rot(8, 2), 255 - np.arange(256)], ids=["rising", "falling"])
def test_pooling_follows_the_table(table, rng):
    network = one_convolution(rng, table=table, pool=MaxPool((2, 2), (1, 1)))
    image = random_image(rng, network.input, 1)
    expected = plain_network(network, image[0])[0]["conv"]
    np.testing.assert_array_equal(run_network(network, image)["conv"][0], expected)


@pytest.mark.parametrize(("groups", "is_signed"), [(1, False), (2, True), (4, False)])
def test_n_sops_counts_pairs_of_spike_and_synapse(groups, is_signed, rng):
    network = one_convolution(rng, source_bits=5, is_signed=is_signed, groups=groups)
    images = random_image(rng, network.input, 2)
    spikes = encode(images, 5, is_signed).sum(axis=0).astype(int)
    expected = np.zeros(2, int)
    for oy in range(3):
        for ox in range(6):
            y, x = 2 * oy - 1, ox - 1
            window = spikes[:, :, max(y, 0) : y + 3, max(x, 0) : x + 3]
            expected += window.sum(axis=(1, 2, 3)) * (8 // groups)
    np.testing.assert_array_equal(n_sops(network, run_network(network, images))["conv"], expected)


def saturating_network(weight):
    source = Population(INPUT, (2, 1, 1), 8, False)
    layer = Layer(
        "sum",
        (2, 1, 1),
        (Connection(INPUT, weight, shift=8),),
        np.zeros(2, np.int64),
        np.ones(2, np.int64),
        np.full(2, 20),
        is_signed=True,
    )
    return Network("sum", source, (layer,), {})


def test_run_network_refuses_potentials_beyond_the_accumulator():
    weight = np.array([[127, 127], [127, -127]], np.int8).reshape(2, 2, 1, 1)
    network = saturating_network(weight)
    images = np.full((1, 2, 1, 1), 255)
    message = (
        r"^sum: membrane potentials must fit in 24 signed bits, "
        rf"channel 0 reached {2 * 127 * 255 << 8}\.\.{2 * 127 * 255 << 8}; use a wider "
    )
    with pytest.raises(ValueError, match=message):
        run_network(network, images)
    wide = run_network(network, images, acc_width=25)["sum"].reshape(-1)
    np.testing.assert_array_equal(wide, [16, 0])
    # The partial sum of 127 * 255 << 8 may leave the range, as long as the whole comes back.
    narrow = saturating_network(np.array([[127, -127], [1, 1]], np.int8).reshape(2, 2, 1, 1))
    assert run_network(narrow, images, acc_width=20)["sum"].reshape(-1).tolist() == [0, 0]


NETWORK = saturating_network(np.ones((2, 2, 1, 1), np.int8))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((1, 2, 1, 1)),
            r"^images: must be integers on the input's scale, got float64; quantize them first$",
        ),
        (
            np.zeros((2, 1, 1), int),
            r"^images: must have shape \(N, 2, 1, 1\), got \(2, 1, 1\); resize them$",
        ),
        (
            np.full((1, 2, 1, 1), 256),
            r"^images: values must lie in 0\.\.255 \(8 bits, unsigned\), got 256\.\.256; clamp",
        ),
        (np.full((1, 2, 1, 1), -1), r"^images: values must lie in 0\.\.255 .*got -1\.\.-1; clamp"),
    ],
)
def test_run_network_refuses_images_beyond_the_input(images, message):
    with pytest.raises(ValueError, match=message):
        run_network(NETWORK, images)


def test_run_network_refuses_unknown_names_to_keep():
    message = r"^keep: must name populations of \['input', 'sum'\], got \['logits'\]$"
    with pytest.raises(ValueError, match=message):
        run_network(NETWORK, np.zeros((1, 2, 1, 1), int), keep=["logits"])
