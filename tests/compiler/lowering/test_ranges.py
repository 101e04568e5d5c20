# SPDX-License-Identifier: Apache-2.0
"""Bounds of potentials are exact: reached by some input, exceeded by none."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.errors import RangeError
from stemcore.compiler.lowering.ranges import prove_ranges
from stemcore.golden.network.forward import Forward
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population


def layer(weight, source=INPUT, name="a", **changes):
    weight = np.asarray(weight, np.int8)
    channels = len(weight)
    plain = Layer(
        name,
        (channels, 1, 1),
        (Connection(source, weight),),
        np.zeros(channels, np.int64),
        np.ones(channels, np.int64),
        np.full(channels, 4),
        bits=3,
    )
    return replace(plain, **changes)


def network(*layers, bits=3, is_signed=True, channels=2):
    population = Population(INPUT, (channels, 1, 1), bits, is_signed)
    return Network("net", population, layers, {})


def column(*weights):
    return np.array(weights, np.int8)[:, :, None, None]


def test_bounds_are_reached_and_never_exceeded(rng):
    for is_signed in (True, False):
        weight = rng.integers(-127, 128, (3, 2, 1, 1))
        net = network(layer(weight), is_signed=is_signed)
        low, high = net.input.limits
        x = np.array(list(itertools.product(range(low, high + 1), repeat=2)), np.int8)
        _, z = Forward(net).run_with_potentials(x[:, :, None, None])
        (found,) = prove_ranges(net, 24).layers
        assert (found.low, found.high) == (z["a"].min(), z["a"].max())


def test_partial_sums_of_signed_sources_reach_further():
    """x = 3 bits: -4 may come first, 3 is the largest; weights 10 and -1."""
    (found,) = prove_ranges(network(layer(column([10, -1]))), 24).layers
    assert (found.low, found.high) == (-33, 33)
    assert (found.partial_low, found.partial_high) == (-43, 34)


def test_bits_are_those_of_the_channel_that_reaches_furthest_down_or_up():
    for sign in (1, -1):  # 7 * 127 * 2 = 1778; a second channel stays at zero
        weight = column([sign * 127, sign * 127], [0, 0])
        net = network(layer(weight), is_signed=False)
        (found,) = prove_ranges(net, 24).layers
        assert found.bits == 12
        assert (found.low, found.high) == (min(0, sign * 1778), max(0, sign * 1778))
        assert (found.partial_low, found.partial_high) == (found.low, found.high)
        assert found.is_flag_free
        assert not prove_ranges(net, 11, seen={"a": (-5, 5)}).layers[0].is_flag_free
        with pytest.raises(RangeError, match="needs 12"):
            prove_ranges(net, 11)


def test_connection_shift_and_second_connection_count():
    first = layer(column([1, 2]), name="a")
    both = layer(
        column([3, -5]),
        name="b",
        connections=(
            Connection(INPUT, column([3, -5]), shift=4),
            Connection("a", column([7]), shift=1),
        ),
    )
    found = prove_ranges(network(first, both), 24).layer("b")
    assert (found.low, found.high) == (-3 * 8 * 16, 3 * 8 * 16 + 7 * 7 * 2)
    assert found.bits == 10


def test_a_table_narrows_what_the_next_layer_can_get():
    table = np.minimum(np.arange(8), 5)
    first = layer(column([1, 2]), table=table)
    second = layer(column([10]), source="a", name="b")
    assert prove_ranges(network(first, second), 24).layer("b").high == 50


def test_a_bound_that_does_not_fit_names_layer_channel_and_bits():
    net = network(layer(column([1, 1], [127, 127])))
    assert prove_ranges(net, 11).is_proved
    pattern = (
        r"^a: potentials must fit in 10 signed bits; channel 1 can reach -762\.\.762, which needs "
        r"11; choose a preset with a wider accumulator, "
    )
    with pytest.raises(RangeError, match=pattern):
        prove_ranges(net, 10)


def test_ranges_seen_in_calibration_are_accepted_and_reported():
    net = network(layer(column([127, 127])))
    report = prove_ranges(net, 10, {"a": (-512, 511)})
    assert not report.is_proved
    assert report.layer("a").seen == (-512, 511)
    assert not report.layer("a").is_flag_free
    with pytest.raises(RangeError, match=r"needs 11, calibration reached -512\.\.512; choose"):
        prove_ranges(net, 10, {"a": (-512, 512)})


def test_the_flag_may_rise_where_only_the_final_sum_fits():
    (found,) = prove_ranges(network(layer(column([10, -1]))), 7).layers
    assert found.is_proved
    assert found.is_flag_free
    (found,) = prove_ranges(network(layer(column([15, -5]))), 7).layers
    assert (found.is_proved, found.is_flag_free) == (True, False)


def test_bias_and_product_must_fit_their_registers():
    bias = np.array([1 << 31])
    with pytest.raises(RangeError, match=r"^a: the bias must fit in 32 signed bits, needs 33; "):
        prove_ranges(network(layer(column([1, 1]), bias=bias)), 24)
    bias = np.array([1 << 30])
    with pytest.raises(
        RangeError, match=r"^a: multiplier \* potential \+ bias must fit in 48 signed"
    ):
        prove_ranges(network(layer(column([1, 1]), bias=bias, bias_shift=3)), 24)


def test_an_unknown_layer_and_width_are_errors():
    net = network(layer(column([1, 1])))
    with pytest.raises(KeyError, match="nothing"):
        prove_ranges(net, 24).layer("nothing")
    with pytest.raises(RangeError, match=r"^acc_width: must be at least 2 bits, got 1$"):
        prove_ranges(net, 1)


@pytest.mark.parametrize(
    "biases", [(-(1 << 31), (1 << 31) - 1), (0, -(1 << 31)), ((1 << 31) - 1, 0)]
)
def test_a_bias_of_any_channel_may_fill_its_field_and_no_more(biases):
    weight = column([1, 0], [0, 1])
    prove_ranges(network(layer(weight, bias=np.array(biases))), 24)
    worse = np.array([b + (b > 0) - (b < 0) for b in biases])
    with pytest.raises(RangeError, match="the bias must fit in 32 signed bits, needs 33"):
        prove_ranges(network(layer(weight, bias=worse)), 24)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_product_may_fill_its_register_and_no_more(sign):
    """Of the channel that reaches furthest: 7 * 127 * 65535 + bias * 2**24 in 48 bits."""
    weight = column([sign * 127, 0], [0, 0])
    product = 7 * 127 * 65535
    most = ((1 << 47) - 1 - product) >> 24
    for extra in (0, 1):
        changes = {
            "bias": np.array([sign * (most + extra), 0]),
            "multiplier": np.array([65535, 1]),
            "bias_shift": 3,
        }
        net = network(layer(weight, **changes), is_signed=False)
        if not extra:
            prove_ranges(net, 24)
            continue
        with pytest.raises(RangeError, match="must fit in 48 signed bits, needs 49"):
            prove_ranges(net, 24)
