# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemcore.compiler.lowering.integrate import MODES
from stemcore.golden.arithmetic.step_integration import (
    HIGHEST,
    LOWEST,
    Late,
    Scaled,
    dropped_by,
    grow,
    late_step,
    update,
    update_one,
)
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from tests.support.plain_network import plain_network
from tests.support.random_networks import random_images, random_stepped_network

WORDS = st.integers(LOWEST, HIGHEST)
FORMS = st.one_of(
    st.builds(Late, st.integers(0, 15)),
    st.builds(Scaled, st.just(1), st.integers(0, 31)),
    st.builds(Scaled, st.integers(1 << 15, (1 << 16) - 1), st.integers(16, 31)),
)


@given(v=WORDS, i=WORDS, t=st.integers(0, 7), form=FORMS)
def test_update_matches_its_scalar_form(v, i, t, form):
    assert int(update(np.array([v], np.int32), [i], t, 8, form)[0]) == update_one(v, i, t, 8, form)


@pytest.mark.parametrize("form", [Scaled(), Scaled(1, 3), Scaled(40000, 17), Late(0), Late(3)])
def test_update_takes_the_rails(form):
    v, i = np.meshgrid([LOWEST, -1, 0, 1, HIGHEST], [LOWEST, HIGHEST])
    v, i = v.reshape(-1), i.reshape(-1)
    for t in range(8):
        expected = [update_one(int(a), int(b), t, 8, form) for a, b in zip(v, i, strict=True)]
        np.testing.assert_array_equal(update(v.astype(np.int32), i, t, 8, form), expected)


def test_update_starts_from_zero_and_saturates():
    v = np.array([HIGHEST, LOWEST, 5], np.int32)
    np.testing.assert_array_equal(update(v, [3, -3, 0], 0, 8, Late(2)), [3, -3, 0])
    np.testing.assert_array_equal(update(v, [1, -1, 1], 1, 8, Scaled()), [HIGHEST, LOWEST, 11])
    np.testing.assert_array_equal(grow(v, [1, -1, 1], 1, 8, Scaled()), [65535, -65537, 11])


def test_scaled_rounds_ties_to_even():
    sums = np.array([-12, -4, 4, 12, 20])
    np.testing.assert_array_equal(update(None, sums, 0, 8, Scaled(1, 3)), [-2, 0, 0, 2, 2])


@pytest.mark.parametrize("r", [0, 1, 3, 8])
def test_late_doubles_first_and_shifts_last(r):
    steps = [late_step(t, 8, r) for t in range(8)]
    assert [shift for _, shift in steps] == [max(0, t - 7 + r) for t in range(8)]
    assert [doubles for doubles, _ in steps] == [t <= 7 - r for t in range(8)]


@pytest.mark.parametrize("form", [Scaled(), Late(0)])
def test_small_potentials_are_exact(form, rng):
    sums = rng.integers(-128, 128, (8, 50))
    v = None
    for t in range(8):
        v = update(v, sums[t], t, 8, form)
    np.testing.assert_array_equal(v, (sums << np.arange(7, -1, -1)[:, None]).sum(axis=0))


@pytest.mark.parametrize("r", [1, 4])
def test_late_drops_what_is_said_on_average(r, rng):
    sums = rng.integers(-200, 200, (8, 40000))
    v = None
    for t in range(8):
        v = update(v, sums[t], t, 8, Late(r))
    exact = (sums << np.arange(7, -1, -1)[:, None]).sum(axis=0) / (1 << r)
    numerator, exponent = dropped_by(Late(r))
    assert Fraction(numerator, 1 << exponent) == sum(
        (1 - Fraction(1, 1 << j)) / 2 for j in range(1, r + 1)
    )
    assert abs((exact - v).mean() - numerator / (1 << exponent)) < 0.02
    assert dropped_by(Scaled(1, 5))[0] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scaled(0, 0), r"^Scaled: multiplier must lie in 1\.\.65535 .*got 0 / 2\*\*0$"),
        (lambda: Scaled(1 << 16, 20), r"^Scaled: multiplier must lie .*got 65536 / 2\*\*20$"),
        (lambda: Scaled(3, 1), r"^Scaled: .*k1 must not exceed 1; got 3 / 2\*\*1$"),
        (lambda: Scaled(1, 32), r"^Scaled: .*shift in 0\.\.31, .*got 1 / 2\*\*32$"),
        (lambda: Late(16), r"^Late: shift must lie in 0\.\.15, got 16$"),
    ],
)
def test_constants_that_no_core_holds_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", range(4))
def test_run_network_in_16_bits_matches_plain_loops(case, mode, rng):
    network = random_stepped_network(rng, mode, max_size=6, max_channels=6)
    images = random_images(rng, network, 2)
    values, potentials = run_network(network, images, keep_potentials=True)
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
        integration=Late(0),
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
    _, potentials = run_network(
        wide_sum(8), np.array([[255, 0], [0, 255]]).reshape(2, 2, 1, 1), keep_potentials=True
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
        integration=Late(0),
    )
    both = Layer(
        "both",
        (1, 1, 1),
        (Connection("short", weight), Connection("sum", weight)),
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        np.zeros(1, np.int64),
        integration=Late(0),
    )
    network = Network("lengths", network.input, (*network.layers, short, both), {})
    message = r"^both: integration .* one length, got short of 4, sum of 8; quantize them to the"
    with pytest.raises(ValueError, match=message):
        run_network(network, np.zeros((1, 2, 1, 1), int))
