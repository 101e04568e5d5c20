# SPDX-License-Identifier: Apache-2.0
"""Arrays as data sets: any shape of the network's input, labels or none, nothing misread."""

import numpy as np
import pytest

from stemcore.models.data import load_class_names, load_dataset, resolve_dataset
from stemcore.models.data.array_file import load_arrays
from stemcore.models.errors import DataError

GREY = (1, 4, 4)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (6, *GREY), np.uint8)


def test_bytes_and_labels_come_as_they_are(tmp_path, pixels):
    y = np.array([0, 2, 1, 1, 0, 2])
    path = write(tmp_path / "a.npz", X_train=pixels, Y_train=y, x_test=pixels[:2], y_test=y[:2])
    name, place = resolve_dataset(str(path))
    assert (name, place) == ("arrays", path)
    data = load_dataset(name, GREY, place, n_train=4)
    np.testing.assert_array_equal(data.train_images, pixels[:4])
    np.testing.assert_array_equal(data.test_labels, y[:2])
    assert data.class_names == load_class_names(name, place) == ("0", "1", "2")
    assert data.provenance == "a.npz: 6 train and 2 test samples of 3 classes"
    assert (data.notes, data.value_range, data.has_labels) == ((), None, True)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((1, 16), (1, 1, 16)),
        ((16,), (1, 1, 16)),
        ((16,), (16, 1, 1)),
        ((2, 8), (2, 1, 8)),
        ((4, 4), (1, 4, 4)),
        ((2, 2, 4), (2, 2, 4)),
    ],
)
def test_floats_have_the_networks_shape_and_their_range(tmp_path, rng, shape, wanted):
    x = rng.normal(0, 3, (5, *shape))
    path = write(tmp_path / "a.npz", x_train=x, x_test=x[:3] * 2)
    data = load_arrays(path, wanted, n_test=1)
    assert data.train_images.dtype == np.float32
    np.testing.assert_allclose(data.train_images.ravel(), x.ravel(), rtol=1e-6)
    assert data.test_images.shape == (1, *wanted)
    # The range is the file's, however few samples are run.
    both = np.concatenate([x.ravel(), 2 * x[:3].ravel()])
    np.testing.assert_allclose(data.value_range, (both.min(), both.max()), rtol=1e-6)
    assert (data.class_names, data.has_labels) == ((), False)


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("anything", None)])
def test_one_array_calibrates_and_tests(tmp_path, pixels, names):
    arrays = {names[0]: pixels} | ({names[1]: np.arange(6) % 2} if names[1] else {})
    data = load_arrays(write(tmp_path / "a.npz", **arrays), GREY)
    np.testing.assert_array_equal(data.train_images, data.test_images)
    assert data.notes == (
        f"calibrated and tested on the same samples, {names[0]}: there are no others",
    )
    assert data.has_labels == (names[1] is not None)
    np.save(tmp_path / "b.npy", pixels)
    np.testing.assert_array_equal(load_arrays(tmp_path / "b.npy", GREY).test_images, pixels)


def test_text_is_a_class(tmp_path, pixels):
    y = np.array(["pear", "apple", "fig", "fig", "apple", "pear"])
    path = write(tmp_path / "a.npz", x=pixels, y=y)
    assert load_arrays(path).class_names == ("apple", "fig", "pear")
    assert load_arrays(path).train_labels.tolist() == [2, 0, 1, 1, 0, 2]
    names = np.array(["pear", "fig", "apple", "plum"])
    data = load_arrays(write(tmp_path / "b.npz", x=pixels, y=y, class_names=names))
    assert data.class_names == tuple(names)
    assert data.train_labels.tolist() == [0, 2, 1, 1, 2, 0]


def test_pictures_are_fitted_and_it_is_said(tmp_path, rng):
    last = rng.integers(0, 256, (4, 6, 5, 3), np.uint8)
    data = load_arrays(write(tmp_path / "a.npz", x=last), (3, 6, 5))
    np.testing.assert_array_equal(data.test_images, last.transpose(0, 3, 1, 2))
    assert any("channels, the last axis" in note for note in data.notes)
    grey = load_arrays(write(tmp_path / "b.npz", x=last[..., 0]), (3, 12, 10))
    assert grey.test_images.shape == (4, 3, 12, 10)
    assert any("pictures of 6 x 5 resized to 12 x 10" in note for note in grey.notes)


def test_arrays_that_are_not_used_are_said(tmp_path, pixels):
    path = write(tmp_path / "a.npz", x_train=pixels, x_test=pixels, weights=np.ones(3))
    assert load_arrays(path, GREY).notes == ("arrays left out: weights",)


X = np.zeros((3, 1, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"must have x_train and x_test, or one array; none came; write it with numpy\.savez"),
        ({"a": X, "b": X}, r"must have x_train and x_test, or one array; a, b came"),
        (
            {"x": X[:0]},
            r"x_train must have samples along its first axis; shape \(0, 1, 4, 4\) came",
        ),
        (
            {"x": X.astype(int)},
            r"x_train: must be uint8, bytes of pictures, or floats .*; int64 came",
        ),
        ({"x": X.astype(bool)}, r"x_train: must be uint8, .*; bool came"),
        ({"x": np.full(X.shape, np.nan)}, r"x_train: must be finite in float32; 48 values of NaN"),
        (
            {"x": np.full(X.shape, 1e300)},
            r"x_train: must be finite in float32; 48 values of NaN or",
        ),
        ({"x_train": X, "x_test": X / 2}, r"x_train and x_test must both be bytes or both floats"),
        (
            {"x": X, "y": np.zeros((3, 10))},
            r"y_train: must be one integer or text a sample; .*argmax",
        ),
        (
            {"x": X, "y": np.zeros((3, 4, 4), int)},
            r"y_train: must be .*; masks or other labels of the shape \(3, 4, 4\) came, .* leave",
        ),
        ({"x": X, "y": np.array([0, -1, 1])}, r"y_train: classes must count from 0; -1 came"),
        (
            {"x": X, "y": np.arange(2)},
            r"y_train must have a label for each sample; 3 samples and 2",
        ),
        (
            {"x_train": X, "x_test": X, "y_test": np.arange(3)},
            r"y_train is missing; add it, or leav",
        ),
        (
            {"x": X, "y": np.arange(3), "class_names": np.array(["a", "b"])},
            r"labels must lie in 0\.\.1, the class_names; 2 came",
        ),
        (
            {"x": X, "y": np.array(["a", "b", "c"]), "class_names": np.array(["a", "b"])},
            r"labels must be of class_names; 'c' is none",
        ),
        (
            {"x": X, "y": np.arange(3), "classes": np.arange(3)},
            r"class_names must be text, one a cla",
        ),
        (
            {"x": np.zeros((3, 2, 4, 4))},
            r"samples must have the network's input, \(1, 4, 4\) .*; \(2, ",
        ),
        (
            {"x": np.zeros((3, 17))},
            r"samples must have the network's input, \(1, 4, 4\) .*; \(17,\) c",
        ),
        (
            {"x": np.array([{}] * 3)},
            r"must be \.npy or \.npz without pickled objects; reading it ga",
        ),
    ],
)
def test_what_would_be_misread_is_refused(tmp_path, arrays, message):
    path = write(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"^.*a\.npz.*{message}"):
        load_arrays(path, GREY)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 1, 40), r"\(2, 40\) \(C, L\) or \(2, 1, 40\) \(C, H, W\)"),
        ((13, 1, 1), r"\(13,\) \(F,\) or \(13, 1, 1\) \(C, H, W\)"),
        ((2, 4, 4), r"\(2, 4, 4\) \(C, H, W\)"),
    ],
)
def test_the_networks_input_is_said_as_its_owner_wrote_it(tmp_path, shape, said):
    path = write(tmp_path / "a.npz", x=np.zeros((3, 17)))
    with pytest.raises(DataError, match=rf"must have the network's input, {said}; \(17,\) came;"):
        load_arrays(path, shape)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"^.*text\.npz: must be \.npy or \.npz without pickled"):
        load_arrays(tmp_path / "text.npz")
    with pytest.raises(
        DataError, match=r"^dataset: a path must lead to .*; nothing is at none\.npz"
    ):
        resolve_dataset("none.npz")


def test_a_file_that_changes_is_read_again(tmp_path, pixels):
    path = write(tmp_path / "a.npz", x=pixels)
    load_arrays(path, GREY)
    write(path, x=pixels[:2])
    assert len(load_arrays(path, GREY).train_images) == 2
