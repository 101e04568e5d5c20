# SPDX-License-Identifier: Apache-2.0
"""The result type of the data sets, image fitting, and the search for folders."""

import numpy as np
import pytest

from stemcore.models.data import find_data, load_dataset
from stemcore.models.data.dataset import Dataset, fit_images, resize_bilinear
from stemcore.models.errors import DataError


def build_dataset(**changes):
    fields = {
        "name": "toy",
        "train_images": np.zeros((2, 1, 2, 2), np.uint8),
        "train_labels": np.array([0, 1]),
        "test_images": np.zeros((1, 1, 2, 2), np.uint8),
        "test_labels": np.array([1]),
        "class_names": ("a", "b"),
        "provenance": "none",
    }
    return Dataset(**(fields | changes))


def test_dataset_tells_shape_and_classes():
    dataset = build_dataset()
    assert dataset.image_shape == (1, 2, 2)
    assert dataset.n_classes == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_images": np.zeros((1, 1, 2, 2))}, r"^toy test: images must be uint8 .* float64"),
        (
            {"test_images": np.zeros((1, 2, 2), np.uint8)},
            r"^toy test: images must be uint8 or float32 \(N, C",
        ),
        ({"train_labels": np.array([0])}, r"^toy train: one label per image must come; 2 images"),
        ({"train_labels": np.array([0, 2])}, r"^toy train: labels must lie in 0\.\.1; 0\.\.2 came"),
        (
            {"test_images": np.zeros((1, 1, 3, 2), np.uint8)},
            r"^toy: training and test images must have one shape; \(1, 2, 2\) and \(1, 3, 2\) came",
        ),
    ],
)
def test_dataset_refuses_arrays_that_do_not_fit(changes, message):
    with pytest.raises(DataError, match=message):
        build_dataset(**changes)


def test_resize_bilinear_hand_computed():
    image = np.array([[[[0, 100]]]], np.uint8)
    wanted = [[0, 25, 75, 100]] * 2
    assert resize_bilinear(image, 2, 4)[0, 0].tolist() == wanted


def test_resize_bilinear_corners(rng):
    images = rng.integers(0, 256, (3, 2, 8, 8), np.uint8)
    assert resize_bilinear(images, 8, 8) is images
    constant = np.full((1, 1, 8, 8), 255, np.uint8)
    assert (resize_bilinear(constant, 32, 20) == 255).all()
    one_pixel = np.full((1, 1, 1, 1), 7, np.uint8)
    assert (resize_bilinear(one_pixel, 3, 3) == 7).all()
    halves = resize_bilinear(np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4), 2, 2)
    assert halves[0, 0].tolist() == [[2, 4], [10, 12]]


def test_fit_images_repeats_grey_and_refuses_colour(rng):
    grey = rng.integers(0, 256, (2, 1, 4, 4), np.uint8)
    fitted = fit_images(grey, (3, 4, 4), "toy")
    for channel in range(3):
        np.testing.assert_array_equal(fitted[:, channel], grey[:, 0])
    with pytest.raises(DataError, match=r"^toy: a model with 1 input channels needs grey images"):
        fit_images(fitted, (1, 4, 4), "toy")


def test_find_data_refuses_unknown_names():
    with pytest.raises(
        DataError,
        match=r"^dataset: must be one of digits, cifar10, mnist, "
        r".*; 'svhn' came; choose",
    ):
        find_data("svhn")


def test_find_data_needs_no_folder_for_digits():
    assert find_data("digits", "/nowhere") is None


def test_find_data_looks_at_argument_variable_and_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("STEMCORE_DATA", raising=False)
    monkeypatch.setenv("DATA", str(tmp_path / "named"))  # too common a name to mean this project
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"looked at {tmp_path / 'data'}; name it with --data"):
        find_data("cifar10")
    named, by_variable, here = (tmp_path / name for name in ("named", "variable", "data"))
    for folder in (named, by_variable, here):
        folder.mkdir()
        (folder / "test_batch.bin").write_bytes(bytes(3073))
    assert find_data("cifar10") == here
    monkeypatch.setenv("STEMCORE_DATA", str(by_variable))
    assert find_data("cifar10") == by_variable
    assert find_data("cifar10", named) == named


def test_find_data_refuses_a_named_folder_without_the_data_set(tmp_path):
    with pytest.raises(
        DataError,
        match=r"^cifar10: a folder with .* must be found; looked at .*; "
        r"name it with --data \(make: DATA=\.\.\) or the variable STEMCORE_DATA",
    ):
        load_dataset("cifar10", folder=tmp_path)
