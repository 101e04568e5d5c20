# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.arithmetic import stem
from stemcore.golden.spec.integers import limits

FORMS = [(bits, is_signed) for bits in range(2, 9) for is_signed in (False, True)]


def all_values(bits, is_signed):
    return np.arange(-(1 << (bits - 1)), 1 << (bits - 1)) if is_signed else np.arange(1 << bits)


def test_encode_fires_the_most_significant_bit_first():
    np.testing.assert_array_equal(stem.encode(0b1010_0110, 8, False), [1, 0, 1, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(stem.encode(-3, 4, True), [1, 1, 0, 1])


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_decode_inverts_encode(bits, is_signed):
    values = all_values(bits, is_signed)
    spikes = stem.encode(values, bits, is_signed)
    assert spikes.dtype == np.uint8
    assert spikes.shape == (bits, *values.shape)
    np.testing.assert_array_equal(stem.decode(spikes, is_signed), values)


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_fire_by_thresholds_equals_encode_of_the_clamped_value(bits, is_signed):
    values = np.arange(-300, 301)
    clamped = np.clip(values, *limits(bits, is_signed))
    np.testing.assert_array_equal(
        stem.fire(values, bits, is_signed), stem.encode(clamped, bits, is_signed)
    )


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_integrate_equals_the_quantized_layer(bits, is_signed, rng):
    weights = rng.integers(-127, 128, (7, 20))
    values = rng.choice(all_values(bits, is_signed), 20)
    spikes = stem.encode(values, bits, is_signed)
    np.testing.assert_array_equal(stem.integrate(weights, spikes, is_signed), weights @ values)


def test_integrate_takes_weights_of_any_width():
    weights = [[1 << 20, -(1 << 30)], [70_000, 1 << 40]]
    spikes = stem.encode([3, 5], 4, False)
    expected = [3 * weights[0][0] + 5 * weights[0][1], 3 * weights[1][0] + 5 * weights[1][1]]
    assert stem.integrate(weights, spikes, False).tolist() == expected


@pytest.mark.parametrize(("bits", "is_signed"), FORMS)
def test_count_spikes_counts_what_encode_fires(bits, is_signed):
    values = all_values(bits, is_signed)
    np.testing.assert_array_equal(
        stem.count_spikes(values, bits), stem.encode(values, bits, is_signed).sum(axis=0)
    )


def test_count_spikes_takes_integers_only():
    with pytest.raises(TypeError, match=r"^count_spikes: values must be integers, got float64$"):
        stem.count_spikes(np.zeros(3), 8)


@pytest.mark.parametrize(
    ("value", "bits", "is_signed", "message"),
    [
        (16, 4, False, r"^encode: values must lie in 0\.\.15 for 4 unsigned bits, got 16\.\.16$"),
        (-1, 4, False, r"^encode: values must lie in 0\.\.15 for 4 unsigned bits, got -1\.\.-1$"),
        (8, 4, True, r"^encode: values must lie in -8\.\.7 for 4 signed bits, got 8\.\.8$"),
    ],
)
def test_encode_refuses_values_without_a_train(value, bits, is_signed, message):
    with pytest.raises(ValueError, match=message):
        stem.encode([value], bits, is_signed)


@pytest.mark.parametrize("value", [1 << 16, (1 << 32) + 3, -(1 << 16)])
def test_encode_sees_every_bit_of_a_value(value):
    with pytest.raises(ValueError, match=rf"got {value}\.\.{value}$"):
        stem.encode(np.array([value]), 8, value < 0)
