# SPDX-License-Identifier: Apache-2.0
"""Scales: powers of two, least error, one accumulator for several connections."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemcore.compiler.quantization import scales
from stemcore.compiler.quantization.scales import (
    Alignment,
    Operand,
    align,
    average_weight,
    power_above,
    power_below,
    scale_candidates,
    weight_scales,
)

POSITIVE = st.floats(1e-12, 1e12)


@pytest.mark.medium
@given(POSITIVE)
def test_powers_enclose_the_value(value):
    above, below = float(power_above(value)), float(power_below(value))
    assert below <= value <= above
    assert above < 2 * value
    assert below > value / 2
    assert np.frexp([above, below])[0].tolist() == [0.5, 0.5]


def test_powers_of_two_are_their_own_neighbours():
    assert float(power_above(0.25)) == float(power_below(0.25)) == 0.25


def test_the_widest_candidate_holds_the_largest_value():
    assert scale_candidates(3.0, 255, True)[0] == 2.0**-6
    assert scale_candidates(3.0, 255, False)[0] == 3.0 / 255
    assert scale_candidates(0.0, 255, True)[0] == 2.0**-7


@pytest.mark.parametrize("is_exact", [True, False])
def test_weight_scales_have_the_least_error_of_their_kind(is_exact, rng):
    weight = rng.normal(size=(6, 40)) * 10.0 ** rng.uniform(-3, 3, (6, 1))
    weight[2] = 0
    scales = weight_scales(weight, 127, per_channel=True, is_exact=is_exact)

    def error(scale):
        return np.square(
            weight - np.clip(np.round(weight / scale[:, None]), -127, 127) * scale[:, None]
        ).sum(axis=1)

    factors = [0.5, 2.0] if is_exact else [0.5, 1.25]
    for factor in factors:
        assert (error(scales) <= error(scales * factor) + 1e-15).all()
    assert scales[2] == np.delete(scales, 2).max()
    if is_exact:
        assert (np.frexp(scales)[0] == 0.5).all()


def test_one_scale_per_tensor_is_the_same_for_all_channels(rng):
    scales = weight_scales(rng.normal(size=(4, 9)), 127, per_channel=False, is_exact=True)
    assert scales.shape == (4,)
    assert len(set(scales)) == 1


def test_a_tensor_of_zeros_has_no_scale():
    assert not weight_scales(np.zeros((3, 4)), 127, per_channel=True, is_exact=True).any()


def test_one_operand_keeps_its_own_scale_and_no_shift():
    operand = Operand(2.0**-5, 8, np.array([2.0**-7, 2.0**-9]), 9)
    alignment = align([operand], np.full(2, 2.0**-40), 1.0, True)
    assert alignment.shifts == (0,)
    np.testing.assert_array_equal(alignment.acc_scale, [2.0**-12, 2.0**-14])


def test_an_identity_joins_without_rounding_by_shift_and_weight():
    """Units of shortcut over accumulator are 2**9 and 2**7: a shift of 4, weights 2**5 and 2**3."""
    conv = Operand(2.0**-5, 8, np.array([2.0**-7, 2.0**-5]), 9)
    alignment = align([conv, Operand(2.0**-3, 8, None)], np.full(2, 2.0**-40), 1.0, True)
    assert alignment.shifts == (0, 4)
    np.testing.assert_array_equal(alignment.acc_scale, [2.0**-12, 2.0**-10])


def test_an_identity_finer_than_the_sum_shifts_the_sum():
    conv = Operand(1.0, 8, np.array([2.0**-3]), 9)
    alignment = align([conv, Operand(2.0**-5, 8, None)], np.full(1, 2.0**-40), 1.0, True)
    assert alignment.shifts == (4, 0)
    assert alignment.acc_scale[0] * 2.0**4 == 2.0**-3


def test_two_convolutions_share_the_unit_that_loses_least():
    fine, coarse = (
        Operand(2.0**-5, 8, np.array([2.0**-9]), 9),
        Operand(2.0**-5, 8, np.array([2.0**-5]), 9),
    )
    alignment = align([fine, coarse], np.full(1, 2.0**-40), 1.0, True)
    assert alignment.shifts == (0, 4)
    assert alignment.acc_scale[0] == 2.0**-14


def test_a_free_unit_makes_the_identity_an_integer():
    conv = Operand(0.013, 8, np.array([0.0031, 0.0007]), 9)
    alignment = align([conv, Operand(0.021, 8, None)], np.full(2, 1e-12), np.inf, False)
    weight = 0.021 / alignment.acc_scale / 2.0 ** alignment.shifts[1]
    np.testing.assert_allclose(weight, np.round(weight), rtol=1e-12)
    assert (weight >= 1).all()
    assert (weight <= 127.000001).all()
    scale = alignment.acc_scale * 2.0 ** alignment.shifts[0] / 0.013
    assert (scale >= np.array([0.0031, 0.0007]) * (1 - 1e-12)).all()


def test_operands_too_far_apart_have_no_alignment():
    first, second = Operand(1.0, 8, None), Operand(2.0**-30, 8, None)
    assert align([first, second], np.full(1, 2.0**-60), np.inf, True) is None


def test_few_time_steps_permit_larger_shifts_only_as_told():
    identity = Operand(2.0**-3, 3, None)
    conv = Operand(2.0**-5, 3, np.array([2.0**-9]), 9)
    alignment = align([conv, identity], np.full(1, 2.0**-40), 1.0, True)
    assert alignment.shifts == (0, 0)
    assert 2.0**-3 / alignment.acc_scale[0] <= 64


@pytest.mark.parametrize("divisor", [1, 2, 4, 16, 64, 1024])
@pytest.mark.parametrize("ratio_shift", [-2, 0, 1])
def test_a_divisor_of_a_power_of_two_needs_weight_one(divisor, ratio_shift):
    # Steps finer than the sum's are never asked for.
    ratio_shift = min(ratio_shift, divisor.bit_length() - 1)
    w, s = average_weight(ratio_shift, divisor, divisor, (0, 255), 127)
    assert (w, s) == (1, divisor.bit_length() - 1 - ratio_shift)


@pytest.mark.parametrize(("kernel", "bits"), [(3, 8), (3, 4), (5, 4), (6, 3), (7, 2)])
@pytest.mark.parametrize("is_signed", [False, True])
def test_other_divisors_get_the_pair_with_the_fewest_differences(kernel, bits, is_signed):
    top = 2 ** (bits - is_signed) - 1
    low, n = (-top if is_signed else 0), kernel**2
    sums = range(n * low, n * top + 1)
    ideal = [round(Fraction(total, n)) for total in sums]

    def n_wrong(w, s):
        return sum(round(Fraction(w * t, 1 << s)) != y for t, y in zip(sums, ideal, strict=True))

    w, s = average_weight(0, n, n, (low, top), 127)
    best = min(n_wrong(round(2**k / n), k) for k in range(16) if 1 <= round(2**k / n) <= 127)
    assert 1 <= w <= 127
    assert n_wrong(w, s) == best
    assert (
        max(abs(round(Fraction(w * t, 1 << s)) - y) for t, y in zip(sums, ideal, strict=True)) <= 1
    )


def noise(operands, alignment):
    return sum(
        o.fan_in * float(np.square(alignment.acc_scale * 2.0**h).sum())
        for o, h in zip(operands, alignment.shifts, strict=True)
        if o.weight_scale is not None
    )


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_many_connections_are_aligned_without_trying_all_shifts(seed, is_exact, monkeypatch):
    rng = np.random.default_rng([seed, is_exact])
    n = int(rng.integers(2, 6))
    operands = []
    for _ in range(n):
        weights = 2.0 ** rng.integers(-9, 0, 1) if is_exact else rng.random(1) + 0.01
        scale = float(2.0 ** rng.integers(-8, 4))
        operands.append(Operand(scale, int(rng.integers(0, 12)), weights, int(rng.integers(1, 99))))
    least = np.full(1, 2.0**-40)
    best = align(operands, least, np.inf, is_exact)
    monkeypatch.setattr(scales, "MAX_COMBINATIONS", 0)
    quick = align(operands, least, np.inf, is_exact)
    assert noise(operands, quick) == pytest.approx(noise(operands, best), rel=1e-12)


def acc_scale(operands, shifts, least, most, is_exact):
    """What each connection by itself permits, one after the other."""
    low, high = least.copy(), most
    for operand, h in zip(operands, shifts, strict=True):
        unit = operand.source_scale / 2.0**h
        if operand.weight_scale is None:
            low, high = np.maximum(low, unit / (64 if is_exact else 127)), min(high, unit)
        else:
            low = np.maximum(low, operand.weight_scale * unit)
    if is_exact:
        low = np.array([float(power_above(value)) if value > 0 else 0.0 for value in low])
        high = float(power_below(high)) if np.isfinite(high) else high
    if (low > high).any():
        return None
    identities = [
        (o.source_scale / 2.0**h)
        for o, h in zip(operands, shifts, strict=True)
        if o.weight_scale is None
    ]
    if len(identities) == len(operands) and np.isfinite(high):
        low = np.full(len(low), high)
    if identities and not is_exact:
        low = identities[0] / np.floor(identities[0] / low * (1 + 1e-12))
    return low


@pytest.mark.parametrize("is_exact", [True, False])
def test_of_all_shifts_those_with_the_least_noise_are_chosen(is_exact):
    rng = np.random.default_rng(int(is_exact))
    n_aligned = n_refused = 0
    for _ in range(200):
        operands = []
        for _ in range(int(rng.integers(1, 4))):
            weights = 2.0 ** rng.integers(-9, 0, 3) if is_exact else rng.random(3) + 0.01
            scale = float(2.0 ** rng.integers(-8, 4)) * (1 if is_exact else rng.uniform(1, 2))
            weights = None if rng.random() < 0.4 else weights * (rng.random() < 0.9)
            fan_in = int(rng.integers(1, 99))
            operands.append(Operand(scale, int(rng.integers(0, 12)), weights, fan_in))
        least, most = np.full(3, 2.0**-40), [np.inf, 0.25][int(rng.integers(2))]
        rated = []
        choices = [[h for h in (0, 4, 8) if h <= o.max_shift] for o in operands]
        for shifts in itertools.product(*choices):
            found = acc_scale(operands, shifts, least, most, is_exact)
            if found is not None:
                one = Alignment(found, shifts)
                rated.append((noise(operands, one), sum(shifts), one))
        got = align(operands, least, most, is_exact)
        if not rated:
            n_refused += 1
            assert got is None
            continue
        n_aligned += 1
        best = min(rated, key=lambda one: one[:2])[2]
        assert got.shifts == best.shifts
        assert np.array_equal(got.acc_scale, best.acc_scale)
    assert n_aligned > 50
    assert n_refused > 5


@pytest.mark.medium
def test_sixty_connections_are_aligned_at_once():
    operands = [Operand(2.0 ** -(i % 9), 8, np.full(32, 2.0**-7), 9) for i in range(60)]
    alignment = align(operands, np.full(32, 2.0**-40), np.inf, True)
    assert len(alignment.shifts) == 60
    for operand, h in zip(operands, alignment.shifts, strict=True):
        assert (operand.weight_scale * operand.source_scale <= alignment.acc_scale * 2.0**h).all()
