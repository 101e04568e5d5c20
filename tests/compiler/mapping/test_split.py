# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.assembly.layer_info import layer_info
from stemcore.compiler.errors import PartitionError
from stemcore.compiler.mapping.split import digit_factor, part_name, split_layers
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.sparsity.search import SCHEMES, scheme_tables
from stemcore.golden.network.forward import Forward, n_sops, run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.reference.program_engine import run_program
from tests.support.random_networks import (
    random_images,
    random_network,
    random_stepped_network,
    random_weight,
)
from tests.support.split_networks import NARROW, SPLIT_SEEDS, splitting_network

SCHEME = next(iter(SCHEMES))


def one_layer(rng, *, channels=12, kernel=(3, 3), groups=1, **changes):
    """A convolution of 8 channels at 5 x 5."""
    weight = random_weight(rng, 8, channels // groups, *kernel)
    connection = Connection(INPUT, weight, padding=(1, 1), groups=groups)
    zeros = np.zeros(8, np.int64)
    shape = (8, 8 - kernel[0], 8 - kernel[1])
    layer = Layer("wide", shape, (connection,), zeros, zeros + 1, zeros + 9, **changes)
    source = Population(INPUT, (channels, 5, 5), 8, True)
    return Network("one", source, (layer,), {INPUT: 1.0, "wide": 1.0})


def assert_same_function(network, split, images, acc_width):
    wanted = Forward(network, acc_width=acc_width).run_with_potentials(images)
    got = Forward(split, acc_width=acc_width).run_with_potentials(images)
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


@pytest.mark.medium
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


def test_layers_that_fit_stay_as_they_are(rng):
    network = one_layer(rng, channels=8)
    assert split_layers(network, NARROW) == network


def test_parts_lie_side_by_side_as_few_as_fit(rng):
    split = split_layers(one_layer(rng, channels=28), NARROW)
    *parts, total = split.layers
    # Two blocks of four channels with nine weights each fit 100 words, three do not.
    assert [part.connections[0].channels for part in parts] == [(0, 8), (8, 16), (16, 24), (24, 28)]
    assert [part.name for part in parts] == [part_name("wide", n) for n in (1, 2, 3, 4)]
    assert {c.source for c in total.connections} == {part.name for part in parts}
    assert split.output is total


def test_parts_are_as_even_as_blocks_of_lanes_allow(rng):
    split = split_layers(one_layer(rng, channels=16), NARROW.with_(n_weight_words=36 * 3))
    spans = [layer.connections[0].channels for layer in split.layers[:-1]]
    assert spans == [(0, 8), (8, 16)]


def test_networks_integrated_per_time_step_stay_as_they_are(rng):
    network = random_stepped_network(rng, "late", max_channels=20)
    params = NARROW.with_(n_weight_words=1).with_integration("late")
    assert split_layers(network, params) is network


def test_parameters_macs_and_bias_are_those_of_the_whole_layer(rng):
    network = one_layer(rng, channels=28)
    split = split_layers(network, NARROW)
    (whole,) = (layer_info(network, layer) for layer in network.layers)
    parts = [layer_info(split, layer) for layer in split.layers]
    assert sum(info.n_parameters for info in parts) == whole.n_parameters
    assert sum(info.n_macs for info in parts) == whole.n_macs
    np.testing.assert_array_equal(split.output.bias, network.output.bias)


def test_synaptic_operations_of_parts_are_those_of_the_whole_layer(rng):
    network = one_layer(rng, channels=28)
    split = split_layers(network, NARROW)
    images = random_images(rng, network, 2)
    whole = n_sops(network, run_network(network, images))["wide"]
    values = run_network(split, images)
    sops = n_sops(split, values)
    np.testing.assert_array_equal(sum(sops[part.name] for part in split.layers[:-1]), whole)
    # Every bit of a part's digits reaches one neuron.
    bits = sum(np.bitwise_count(values[part.name]) for part in split.layers[:-1])
    np.testing.assert_array_equal(sops["wide"], bits.sum(axis=(1, 2, 3)))


@pytest.mark.medium
def test_sums_at_their_bounds_are_exact():
    """All weights and inputs at the rail: what the proof of the digits allows is reached."""
    rails = np.where(np.arange(28) % 3, 127, -127).astype(np.int8)
    weight = np.broadcast_to(rails[None, :, None, None], (8, 28, 3, 3)).copy()
    weight[4:] *= -1
    network = one_layer(np.random.default_rng(0), channels=28)
    connection = replace(network.layers[0].connections[0], weight=weight)
    network = replace(network, layers=(replace(network.layers[0], connections=(connection,)),))
    split = split_layers(network, NARROW)
    signs = np.where(rails > 0, 127, -127)[:, None, None]
    images = np.stack([np.broadcast_to(s * signs, (28, 5, 5)) for s in (1, -1)])
    assert_same_function(network, split, images, NARROW.acc_width)
    values = run_network(split, images)
    result = run_program(compile_network(split, NARROW), images)
    for layer in split.layers:
        np.testing.assert_array_equal(result.values[layer.name], values[layer.name], layer.name)


# Few bits of shift, few descriptors, both: digits through several weights, trees of sums.
_TIGHT = NARROW.with_(n_destinations=128)
TIGHT = {
    "shift": _TIGHT.with_(shift_width=4),
    "axons": _TIGHT.with_(n_axons=8),
    "both": _TIGHT.with_(shift_width=4, n_axons=6),
}


@pytest.mark.medium
@pytest.mark.parametrize("tight", TIGHT)
@pytest.mark.parametrize("channels", [12, 28, 40])
def test_little_room_for_digits_is_enough(tight, channels, rng):
    params = TIGHT[tight]
    network = one_layer(rng, channels=channels)
    split = split_layers(network, params)
    images = random_images(rng, network, 3)
    images[1] = 0
    assert_same_function(network, split, images, params.acc_width)
    expected = run_network(split, images)
    result = run_program(compile_network(split, params), images)
    for layer in split.layers:
        assert len(layer.connections) <= params.n_axons
        np.testing.assert_array_equal(result.values[layer.name], expected[layer.name], layer.name)


def test_parts_that_do_not_fit_are_split_in_turn(rng):
    split = split_layers(one_layer(rng, channels=28), TIGHT["axons"])
    names = [layer.name for layer in split.layers]
    leaves = [f"wide.part{n}.part{m}" for n in (1, 2) for m in (1, 2)]
    assert names == [*leaves[:2], "wide.part1", *leaves[2:], "wide.part2", "wide"]
    read = [c for layer in split.layers for c in layer.connections if c.source == INPUT]
    assert [c.channels for c in read] == [(0, 8), (8, 16), (16, 24), (24, 28)]
    # The scale of what parts fire is one unit of the sum.
    assert {split.scales[name] for name in names[:-1]} == {1.0}


@pytest.mark.medium
def test_a_residual_is_part_of_a_sum_that_is_split(rng):
    """Beside a fan-in that is split, with the shifts of the default preset."""
    params = TIGHT["both"]
    network = one_layer(rng, channels=28)
    identity = Connection(INPUT, np.full((8, 1, 1, 1), 64, np.int8), groups=8, channels=(0, 8))
    connections = (*network.layers[0].connections, replace(identity, shift=2))
    network = replace(network, layers=(replace(network.layers[0], connections=connections),))
    split = split_layers(network, params)
    assert len(split.layers) > 1
    images = random_images(rng, network, 2)
    assert_same_function(network, split, images, params.acc_width)
    result = run_program(compile_network(split, params), images)
    np.testing.assert_array_equal(result.outputs, run_network(network, images)["wide"])


@pytest.mark.parametrize("shift_width", [3, 4, 5])
@pytest.mark.parametrize("digit", range(4))
def test_factors_of_digits_are_what_they_stand_for(digit, shift_width):
    params = NARROW.with_(shift_width=shift_width)
    shift, weight, repeats = digit_factor(digit, params)
    assert (weight << shift) * repeats == 256**digit
    # The first spike of eight is shifted by seven more.
    assert 0 <= shift and shift + 7 < 1 << shift_width and weight <= 127


REFUSED = {
    "channel": (
        {"n_weight_words": 8, "n_axons": 33},
        1,
        (
            r"^wide: its fan-in cannot be split further than to channels 0\.\.0 of input; "
            r"these need 9 weight words, a core has 8; make the layer smaller: no preset has larger"
        ),
    ),
    "group": (
        {"n_weight_words": 16},
        2,
        (
            r"^wide: its fan-in cannot be split further than to channels 0\.\.27 of "
            r"input in 2 groups; "
            r"these need 126 weight words"
        ),
    ),
    "table": (
        {"n_table_c": 20},
        1,
        (r"^wide: its fan-in cannot be split further .* need 28 channel table entries, a core has"),
    ),
    "accumulator": (
        {"acc_width": 16, "n_axons": 33},
        1,
        (
            r"^wide: its fan-in has to be split in 4; sums of its parts, in bits with sign: must "
            r"be at most 16, is 2.; make the layer smaller: no preset has a "
            r"wider accumulator and memories no smaller$"
        ),
    ),
    "shift": (
        {"shift_width": 3, "acc_width": 32, "n_axons": 33},
        1,
        (
            r"^wide: .* split in 4; additions for a spike of the highest digit: must be at most "
            r"16, is 1024; make the layer smaller: no preset has a larger shift_width"
        ),
    ),
    "axons": (
        {"n_axons": 5},
        1,
        (
            r"^wide: .* split in 2; axon descriptors for the digits of its parts: must be at most "
            r"5, is 6; choose a preset with more axons"
        ),
    ),
}


@pytest.mark.parametrize(("changes", "groups", "message"), REFUSED.values(), ids=REFUSED)
def test_layers_that_cannot_be_split_are_refused(rng, changes, groups, message):
    network = one_layer(rng, channels=28, groups=groups)
    with pytest.raises(PartitionError, match=message):
        split_layers(network, NARROW.with_(**changes))


def test_split_for_other_lanes_is_refused(rng):
    split = split_layers(one_layer(rng, channels=28), NARROW)
    message = r"^wide\.part1: digits must lie a multiple of 16 lanes apart, are 8 channels apart;"
    with pytest.raises(PartitionError, match=message):
        compile_network(split, NARROW.with_(lanes=16))


def test_parts_get_no_activation_table():
    _, network = splitting_network(SPLIT_SEEDS[0])
    split = split_layers(network, NARROW)
    tables = scheme_tables(split, SCHEME)
    parts = {layer.name for layer in split.layers if layer.digits is not None}
    assert parts and not parts & tables.keys()
    assert tables.keys() == scheme_tables(network, SCHEME).keys()
