# SPDX-License-Identifier: Apache-2.0
"""The digits data set: values, and a split that never moves."""

import hashlib

import numpy as np
import pytest

from stemcore.models.data import load_dataset
from stemcore.models.data.digits import split_indices


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_digits_sizes_and_values(digits):
    assert digits.train_images.shape == (1437, 1, 8, 8)
    assert digits.test_images.shape == (360, 1, 8, 8)
    levels = {round(v * 255 / 16) for v in range(17)}
    assert set(np.unique(digits.train_images)) == levels
    assert digits.provenance


def test_digits_split_is_the_recorded_one(digits):
    """A split that moves would test checkpoints on images they were trained on."""
    digest = hashlib.sha256(digits.test_images.tobytes() + digits.test_labels.tobytes())
    assert digest.hexdigest()[:16] == "89081774da8a0f0c"


def test_split_is_disjoint_complete_and_stratified(rng):
    labels = rng.integers(0, 10, 1797)
    train, test = split_indices(labels)
    assert sorted([*train, *test]) == list(range(1797))
    share = np.bincount(labels[test]) - np.bincount(labels) * 360 / 1797
    assert np.abs(share).max() < 1
    again = split_indices(labels)
    np.testing.assert_array_equal(train, again[0])
    np.testing.assert_array_equal(test, again[1])


def test_digits_first_images_are_a_prefix(digits):
    few = load_dataset("digits", n_train=5, n_test=0)
    np.testing.assert_array_equal(few.train_images, digits.train_images[:5])
    assert few.test_images.shape == (0, 1, 8, 8)


def test_digits_fitted_to_a_colour_model():
    few = load_dataset("digits", (3, 32, 32), n_train=2, n_test=3)
    assert few.train_images.shape == (2, 3, 32, 32)
    assert few.test_images.shape == (3, 3, 32, 32)
    np.testing.assert_array_equal(few.test_images[:, 0], few.test_images[:, 2])
