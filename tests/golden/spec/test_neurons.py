# SPDX-License-Identifier: Apache-2.0
"""The equations of the neuron models, on integers and on arrays, against their plain form."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemcore.compiler.lowering.neurons import LOWERINGS
from stemcore.golden.arithmetic.potentials import update
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.neurons import MODELS, model_of
from stemcore.golden.spec.neurons.exact import EXACT
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.neurons.scaled import Scaled, round_half_even
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST
from tests.support.plain_network import plain_update

WORDS = st.integers(LOWEST, HIGHEST)
NEURONS = st.one_of(
    st.builds(Late, st.integers(0, 15)),
    st.builds(Scaled, st.just(1), st.integers(0, 31)),
    st.builds(Scaled, st.integers(1 << 15, (1 << 16) - 1), st.integers(16, 31)),
)


@pytest.mark.medium
@given(v=WORDS, i=WORDS, t=st.integers(0, 7), neuron=NEURONS)
def test_update_is_the_equation_on_integers_and_arrays(v, i, t, neuron):
    wanted = plain_update(neuron, v, i, t, 8)
    assert neuron.update(v, i, t, 8) == wanted
    array = update(neuron, np.array([v], np.int32), np.array([i], np.float32), t, 8)
    assert array.dtype == np.int32
    assert int(array[0]) == wanted


@pytest.mark.parametrize("neuron", [Scaled(), Scaled(1, 3), Scaled(40000, 17), Late(0), Late(3)])
def test_update_takes_the_rails(neuron):
    v, i = np.meshgrid([LOWEST, -1, 0, 1, HIGHEST], [LOWEST, HIGHEST])
    v, i = v.reshape(-1), i.reshape(-1)
    for t in range(8):
        expected = [plain_update(neuron, int(a), int(b), t, 8) for a, b in zip(v, i, strict=True)]
        np.testing.assert_array_equal(update(neuron, v.astype(np.int32), i, t, 8), expected)


def test_update_starts_from_zero_and_saturates():
    v = np.array([HIGHEST, LOWEST, 5], np.int32)
    np.testing.assert_array_equal(update(Late(2), v, [3, -3, 0], 0, 8), [3, -3, 0])
    np.testing.assert_array_equal(update(Scaled(), v, [1, -1, 1], 1, 8), [HIGHEST, LOWEST, 11])


def test_the_exact_potential_is_the_sum_whatever_its_width():
    sums = np.array([-(1 << 31), (1 << 31) - 1, 7], np.float64)
    np.testing.assert_array_equal(update(EXACT, None, sums, 0, 1), sums.astype(np.int64))
    assert EXACT.update(0, 1 << 40, 0, 1) == 1 << 40


def test_scaled_rounds_ties_to_even():
    sums = np.array([-12, -4, 4, 12, 20])
    np.testing.assert_array_equal(update(Scaled(1, 3), None, sums, 0, 8), [-2, 0, 0, 2, 2])


@given(product=st.integers(-(1 << 31), (1 << 31) - 1), shift=st.integers(0, 31))
def test_rounding_needs_no_more_bits_than_its_product(product, shift):
    wanted = round(Fraction(product, 1 << shift))
    assert round_half_even(product, shift) == wanted
    assert int(round_half_even(np.array([product], np.int32), shift)[0]) == wanted


@pytest.mark.parametrize("r", [0, 1, 3, 8])
def test_late_doubles_first_and_shifts_last(r):
    steps = [Late(r).step(t, 8) for t in range(8)]
    assert [shift for _, shift in steps] == [max(0, t - 7 + r) for t in range(8)]
    assert [doubles for doubles, _ in steps] == [t <= 7 - r for t in range(8)]


@pytest.mark.parametrize("neuron", [Scaled(), Late(0)])
def test_small_potentials_are_exact(neuron, rng):
    sums = rng.integers(-128, 128, (8, 50))
    v = None
    for t in range(8):
        v = update(neuron, v, sums[t], t, 8)
    np.testing.assert_array_equal(v, (sums << np.arange(7, -1, -1)[:, None]).sum(axis=0))


@pytest.mark.parametrize("r", [1, 4])
def test_late_drops_what_is_said_on_average(r, rng):
    sums = rng.integers(-200, 200, (8, 40000))
    v = None
    for t in range(8):
        v = update(Late(r), v, sums[t], t, 8)
    exact = (sums << np.arange(7, -1, -1)[:, None]).sum(axis=0) / (1 << r)
    lost = LOWERINGS["late"].scale(Late(r)).lost
    assert lost == sum((1 - Fraction(1, 1 << j)) / 2 for j in range(1, r + 1))
    assert abs((exact - v).mean() - float(lost)) < 0.02
    assert LOWERINGS["scaled"].scale(Scaled(1, 5)).lost == 0


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


@pytest.mark.parametrize("neuron", [EXACT, Late(0), Late(15), Scaled(40001, 17)])
def test_registers_hold_the_constants(neuron):
    model = MODELS[neuron.MODEL_NAME]
    assert model_of(neuron) is model
    fields = neuron.to_fields(8)
    assert sorted(fields) == sorted(field for field, _ in model.register)
    assert model.neuron.from_fields(fields, multipliers=True) == neuron
    assert model.n_periods(fields) == model.tokens_per_sample(8)


def test_without_a_multiplier_k1_is_a_power_of_two():
    assert Scaled.from_fields({"multiplier": 3, "shift": 5}, multipliers=False) == Scaled(1, 5)


@pytest.mark.parametrize("name", MODELS)
def test_shifts_and_periods_belong_together(name):
    model = MODELS[name]
    assert model.tokens_per_sample(6) * model.steps_per_period(6) == 6
    shifts = [model.weight_shift(model.first_shift(2, 6), t) for t in range(6)]
    per_step = model.token_period is TokenPeriod.TIME_STEP
    assert shifts == [2 if per_step else 2 + 5 - t for t in range(6)]
