# SPDX-License-Identifier: Apache-2.0
"""Taps of an axis against the equations that they stand for, one position at a time."""

import itertools

import numpy as np
import pytest

from stemcore.golden.network.convolution import Convolution, connection_shape, potential_bounds
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.network.taps import (
    Taps,
    check_taps,
    no_taps,
    partial_bounds,
    repeated_taps,
    shared_taps,
    tap_bounds,
    transposed_taps,
    window_taps,
)
from stemcore.golden.spec.integers import limits
from tests.support.plain_network import plain_potentials
from tests.support.random_networks import random_image, random_taps, random_weight

GEOMETRIES = list(itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (4, 7)))


def as_set(taps):
    return set(zip(*(values.tolist() for values in taps.pairs()), strict=True))


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), GEOMETRIES)
def test_windows_reach_what_reads_them(kernel, stride, padding, size):
    taps = window_taps(size, kernel, stride, padding)
    read = {(o * stride - padding + k, o, k) for o in range(taps.n_outputs) for k in range(kernel)}
    assert as_set(taps) == {tap for tap in read if 0 <= tap[0] < size}


@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), GEOMETRIES)
def test_transposed_convolutions_reach_what_their_equation_says(
    kernel, stride, padding, size, extra
):
    taps = transposed_taps(size, kernel, stride, padding, extra)
    reached = {(y, y * stride - padding + k, k) for y in range(size) for k in range(kernel)}
    assert as_set(taps) == {tap for tap in reached if 0 <= tap[1] < taps.n_outputs}
    check_taps(taps, kernel, "taps")


def test_shared_windows_have_one_kernel_position():
    taps = shared_taps(((0, 2), (1, 3), (3, 3)), 5)
    assert as_set(taps) == {(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0)}
    assert as_set(no_taps(4)) == set()


def test_repeated_taps_bring_a_position_to_itself_several_times(rng):
    taps = repeated_taps(3, 4)
    assert [values.tolist() for values in taps.pairs()] == [
        [0] * 4 + [1] * 4 + [2] * 4,
        [0] * 4 + [1] * 4 + [2] * 4,
        [0] * 12,
    ]
    check_taps(taps, 1, "taps")
    np.testing.assert_array_equal(taps.reach(), 4 * np.eye(3))
    for outputs in itertools.combinations_with_replacement(range(4), 2):
        first, count, _ = taps.within(outputs)
        assert set(first[count > 0]) == set(range(*outputs)) and set(count) <= {0, 4}
    source = Population(INPUT, (2, 3, 5), 8, True)
    connection = Connection(INPUT, random_weight(rng, 2, 1, 1, 1), groups=2, rows=taps)
    images = random_image(rng, source, 3)
    convolve = Convolution(connection, source, np.ones(2))
    z = convolve(images.transpose(0, 2, 3, 1).astype(np.float32)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(z, 4 * images * connection.weight[:, 0].astype(np.int64))
    _, largest = potential_bounds(connection, source)
    np.testing.assert_array_equal(largest, 4 * 127 * abs(connection.weight[:, 0, 0, 0].astype(int)))


def test_a_span_of_outputs_keeps_its_taps_alone(rng):
    for _ in range(40):
        taps, _ = random_taps(rng, int(rng.integers(1, 8)), 8)
        outputs = tuple(sorted(rng.integers(0, taps.n_outputs + 1, 2).tolist()))
        first, count, index = (tuple(a.tolist()) for a in taps.within(outputs))
        inside = Taps(taps.n_outputs, first, count, index, taps.step)
        expected = {tap for tap in as_set(taps) if outputs[0] <= tap[1] < outputs[1]}
        assert as_set(inside) == expected


@pytest.mark.parametrize("case", range(12))
def test_convolutions_with_taps_match_plain_loops(case, rng):
    source = Population(INPUT, (4, int(rng.integers(1, 7)), 5), 8, bool(case % 2))
    (rows, ky), (columns, kx) = (random_taps(rng, n, 7) for n in source.shape[1:])
    groups, c_out = [(1, 3), (2, 6), (4, 4), (4, 8)][case % 4]
    weight = random_weight(rng, c_out, 4 // groups, ky, kx)
    connection = Connection(
        INPUT, weight, groups=groups, shift=1, rows=rows, columns=columns if case < 8 else None
    )
    shape = connection_shape(connection, source)
    zeros = np.zeros(c_out, np.int64)
    layer = Layer("layer", shape, (connection,), zeros, zeros + 1, zeros)
    images = random_image(rng, source, 3)
    convolve = Convolution(connection, source, np.ones(c_out))
    z = convolve(images.transpose(0, 2, 3, 1).astype(np.float32)).transpose(0, 3, 1, 2)
    low, high = potential_bounds(connection, source)
    for image, potentials in zip(images, z, strict=True):
        plain = plain_potentials(Network("one", source, (layer,), {}), layer, {INPUT: image})
        np.testing.assert_array_equal(potentials, plain)
        assert (plain.min(axis=(1, 2)) >= low).all()
        assert (plain.max(axis=(1, 2)) <= high).all()


def test_bounds_are_those_of_the_output_with_the_most_terms():
    # Output 0 meets one position by 3; output 1 two by -2 and one by 5.
    taps = Taps(2, (0, 1, 1, 1), (1, 1, 1, 1), (0, 1, 1, 2), 1)
    weight = np.array([3, -2, 5]).reshape(1, 1, 1, 3)
    low, high = tap_bounds(weight, None, taps, -1, 2)
    assert (low.tolist(), high.tolist()) == ([2 * -4 - 5], [2 * 5 + 4])
    low, high = tap_bounds(weight, no_taps(4), taps, -1, 2)
    assert (low.tolist(), high.tolist()) == ([0], [0])


def test_many_positions_by_one_weight_are_counted_each():
    taps = shared_taps(((0, 64),), 64)
    low, high = tap_bounds(np.full((2, 1, 1, 1), -3), taps, taps, 0, 255)
    assert (low.tolist(), high.tolist()) == ([-3 * 255 * 4096] * 2, [0, 0])


BROKEN = {
    "lengths": (Taps(2, (0,), (1, 1), (0, 0), 0), r"^here: must have an entry of each kind"),
    "negative": (Taps(2, (0,), (-1,), (0,), 0), r"^here: numbers of outputs must not be negative"),
    "advance": (
        Taps(2, (0,), (1,), (0,), 0, 2),
        r"^here: taps must advance by 0 or 1 outputs, got 2$",
    ),
    "outputs": (Taps(2, (1,), (2,), (0,), 0), r"^here: taps must stay within 2 .* outputs, reach"),
    "kernel": (Taps(3, (0,), (3,), (1,), 1), r"^here: taps must stay within 3 .* kernel, reach 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_taps_that_cannot_be_are_refused(name):
    taps, message = BROKEN[name]
    with pytest.raises(ValueError, match=message):
        check_taps(taps, 3, "here")


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("most", [None, 5])
def test_partial_bounds_hold_for_any_part_of_the_spikes(is_signed, most, rng):
    """Tight bounds: every subset of the bits of every value of two sources, enumerated."""
    bits, weight = 3, rng.integers(-4, 5, (6, 2, 1, 1))
    low, high = limits(bits, is_signed)
    high = high if most is None or is_signed else most
    parts = set()
    for value in range(low, high + 1):
        spikes = [2**t for t in range(bits) if value >> t & 1]
        if is_signed and value < 0:
            spikes[-1] = -spikes[-1]
        for n in range(len(spikes) + 1):
            parts |= {sum(some) for some in itertools.combinations(spikes, n)}
    sums = np.array([weight[:, :, 0, 0] @ pair for pair in itertools.product(parts, repeat=2)])
    least, largest = partial_bounds(weight, None, None, bits, is_signed, most)
    np.testing.assert_array_equal(least, sums.min(axis=0))
    np.testing.assert_array_equal(largest, sums.max(axis=0))
