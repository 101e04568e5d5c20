# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.arithmetic import activation_tables as tables
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.spec.integers import limits

FORMS = [(bits, is_signed) for bits in range(2, 9) for is_signed in (False, True)]


def every_table(bits, is_signed):
    yield tables.identity(bits, is_signed)
    for r in range(bits):
        yield tables.rot(bits, r, is_signed)
    for k in range(2, bits + 1):
        yield tables.drlo(bits, k, is_signed)
    for k in range(bits + 1):
        yield tables.nearest_ones(bits, k, is_signed)
    for lambda_ in (0, 0.5, 3, 100.0):
        yield tables.rate_distortion(bits, lambda_, is_signed)


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_tables_stay_within_the_limits_and_keep_zero(bits, is_signed):
    low, high = limits(bits, is_signed)
    for table in every_table(bits, is_signed):
        assert table.shape == (1 << bits,)
        assert table.dtype == np.int64
        assert low <= table.min()
        assert table.max() <= high
        assert table[0] == 0


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_identity_changes_no_activation(bits, is_signed):
    values = np.arange(*limits(bits, is_signed))
    np.testing.assert_array_equal(tables.apply(tables.identity(bits, is_signed), values), values)


def test_rot_rounds_halves_up_and_saturates():
    np.testing.assert_array_equal(
        tables.rot(4, 2), [0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 12, 12]
    )
    signed = tables.rot(4, 2, True)
    values = np.arange(-7, 8)
    np.testing.assert_array_equal(
        tables.apply(signed, values), [-4, -4, -4, -4, -4, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4]
    )


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_rot_gives_the_nearest_multiple_that_fits(bits, is_signed):
    low, high = limits(bits, is_signed)
    values = np.arange(low, high + 1)
    for r in range(bits):
        multiples = [m for m in range(-(1 << bits), 1 << bits) if m % (1 << r) == 0]
        multiples = [m for m in multiples if low <= m <= high]
        # Of two that are equally near the larger one: halves go up.
        best = [min(multiples, key=lambda m: (abs(m - v), -m)) for v in values.tolist()]
        np.testing.assert_array_equal(tables.apply(tables.rot(bits, r, is_signed), values), best)


def test_drlo_keeps_the_highest_ones():
    np.testing.assert_array_equal(
        tables.drlo(4, 2), [0, 1, 2, 3, 4, 5, 6, 6, 8, 9, 10, 10, 12, 12, 12, 12]
    )
    assert tables.apply(tables.drlo(8, 3, True), np.array([-1, -128 + 7])).tolist() == [-32, -122]


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_nearest_ones_is_nearest_among_few_ones(bits, is_signed):
    low, high = limits(bits, is_signed)
    values = np.arange(low, high + 1)
    for k in range(bits + 1):
        got = tables.apply(tables.nearest_ones(bits, k, is_signed), values)
        assert count_spikes(got, bits).max() <= k
        allowed = values[count_spikes(values, bits) <= k]
        distance = np.abs(values[:, None] - allowed).min(axis=1)
        np.testing.assert_array_equal(np.abs(got - values), distance)


def test_nearest_ones_prefers_fewer_ones_then_the_smaller_value():
    # 3 lies between 2 and 4 for one 1; 6 between 4 and 8.
    assert tables.nearest_ones(4, 1)[[3, 6]].tolist() == [2, 4]


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
@pytest.mark.parametrize("lambda_", [0, 0.5, 3, 100.0])
def test_rate_distortion_minimizes_its_cost(bits, is_signed, lambda_):
    low, high = limits(bits, is_signed)
    values = np.arange(low, high + 1)
    got = tables.apply(tables.rate_distortion(bits, lambda_, is_signed), values)

    def cost(q, candidates):
        return (q - candidates) ** 2 + lambda_ * count_spikes(candidates, bits)

    np.testing.assert_array_equal(cost(values, got), cost(values[:, None], values).min(axis=1))


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_compose_applies_one_after_the_other(bits, is_signed):
    first, second = tables.rot(bits, 1, is_signed), tables.nearest_ones(bits, 2, is_signed)
    values = np.arange(*limits(bits, is_signed))
    np.testing.assert_array_equal(
        tables.apply(tables.compose(first, second), values),
        tables.apply(second, tables.apply(first, values)),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tables.identity(9), r"^table: bits must lie in 2\.\.8, got 9$"),
        (lambda: tables.rot(8, 8), r"^rot: r must lie in 0\.\.7, got 8$"),
        (lambda: tables.drlo(8, 0), r"^drlo: k must lie in 1\.\.8, got 0$"),
        (lambda: tables.drlo(8, 1, True), r"^drlo: k must lie in 2\.\.8, got 1$"),
        (lambda: tables.nearest_ones(4, 5), r"^nearest_ones: k must lie in 0\.\.4, got 5$"),
        (
            lambda: tables.rate_distortion(4, -1.0),
            r"^rate_distortion: lambda_ must be at least 0, got -1\.0$",
        ),
        (
            lambda: tables.compose(tables.identity(4), tables.identity(5)),
            r"^compose: tables must have the same length, got \(16,\) and \(32,\)$",
        ),
    ],
)
def test_tables_refuse_parameters_without_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()
