# SPDX-License-Identifier: Apache-2.0
"""Classification sets in ImageNet layout, from small folders and archives; MNIST's file."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import find_data, load_class_names, load_dataset, resolve_dataset
from stemcore.models.errors import DataError

SHAPE = (3, 16, 16)
COLOURS = {"n01": (250, 0, 0), "n02": (0, 250, 0), "n03": (0, 0, 250)}


def write_set(root, n_train=4, n_val=2, classes=COLOURS):
    for split, n in (("train", n_train), ("val", n_val)):
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                suffix = ("png", "JPEG")[i % 2]
                Image.new("RGB", (30 + i, 20), COLOURS[name]).save(folder / f"{name}_{i}.{suffix}")
            (folder / "notes.txt").write_text("not an image")
    return root


@pytest.mark.parametrize("where", ["", "imagenette", "imagenette2-160"])
def test_folder_is_found_and_labels_fit_the_pictures(tmp_path, where):
    write_set(tmp_path / where)
    data = load_dataset("imagenette", SHAPE, tmp_path)
    assert data.name == "imagenette"
    assert data.class_names == ("n01", "n02", "n03")
    assert data.train_images.shape == (12, *SHAPE)
    assert data.test_images.shape == (6, *SHAPE)
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        np.testing.assert_array_equal(images.mean((2, 3)).argmax(1), labels)
    assert data.provenance.endswith(": 12 training and 6 validation images of 3 classes")


def test_first_images_are_a_mixture(tmp_path):
    write_set(tmp_path, n_train=10)
    some = load_dataset("imagenet", SHAPE, tmp_path, n_train=9, n_test=0)
    assert len(some.test_images) == 0
    assert len(set(some.train_labels.tolist())) == 3
    again = load_dataset("imagenet", SHAPE, tmp_path, n_train=9)
    np.testing.assert_array_equal(some.train_labels, again.train_labels)


def test_archive_gives_the_same_as_the_folder(tmp_path):
    root = write_set(tmp_path / "plain")
    place = tmp_path / "packed"
    place.mkdir()
    with tarfile.open(place / "imagenette_80.tar", "w") as archive:
        archive.add(root, "imagenette")
    packed, plain = (load_dataset("imagenette", SHAPE, folder) for folder in (place, root))
    # The order follows sorted paths, which the archive's own top folder does not change.
    np.testing.assert_array_equal(packed.train_images, plain.train_images)
    np.testing.assert_array_equal(packed.train_labels, plain.train_labels)
    assert load_class_names("imagenette", place) == ("n01", "n02", "n03")


def test_names_of_other_sets_are_not_taken(tmp_path):
    write_set(tmp_path / "imagenette")
    with pytest.raises(
        DataError,
        match=r"^imagenet: a folder with train/<class>/ and val/<class>/"
        r".* must be found; looked at .*; name it with --data "
        r"\(make: DATA=\.\.\) or the variable STEMCORE_DATA, or use the dataset digits$",
    ):
        find_data("imagenet", tmp_path)


def test_classes_of_val_must_be_known(tmp_path):
    root = write_set(tmp_path)
    (root / "val/n02").rename(root / "val/n09")
    with pytest.raises(
        DataError,
        match=r"^.*: must hold train/<class>/ and val/<class>/ of the "
        r"same classes; 3 training classes and n09 in val alone",
    ):
        load_dataset("imagenet", SHAPE, root)


def test_a_size_must_be_named(tmp_path):
    write_set(tmp_path)
    with pytest.raises(
        DataError,
        match=r"^imagenet: its pictures have many sizes and need an "
        r"input_shape \(C, H, W\); None came; give that of",
    ):
        load_dataset("imagenet", None, tmp_path)


def test_a_path_is_resolved_to_its_layout(tmp_path):
    assert resolve_dataset(str(write_set(tmp_path / "mine"))) == ("imagenet", tmp_path / "mine")


def write_mnist(path, rng, **changes):
    arrays = {
        "X_train": rng.integers(0, 256, (5, 28, 28), np.uint8),
        "y_train": np.arange(5),
        "X_test": rng.integers(0, 256, (2, 28, 28), np.uint8),
        "y_test": np.array([9, 0]),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return arrays


def test_mnist_is_read(tmp_path, rng):
    arrays = write_mnist(tmp_path / "mnist.npz", rng)
    data = load_dataset("mnist", None, tmp_path, n_train=3)
    np.testing.assert_array_equal(data.train_images[:, 0], arrays["X_train"][:3])
    np.testing.assert_array_equal(data.test_images[:, 0], arrays["X_test"])
    assert data.test_labels.tolist() == [9, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "must hold x_train, y_train, x_test and y_test; y_test missing; get"),
        (
            {"X_test": np.zeros((2, 27, 28), np.uint8)},
            r"x_test must be uint8 \(N, 28, 28\); uint8 ",
        ),
        ({"X_train": np.zeros((5, 28, 28))}, r"x_train must be uint8 \(N, 28, 28\); float64 "),
        (
            {"y_train": np.array([{}] * 5)},
            "must be an npz archive without pickled objects; reading",
        ),
    ],
)
def test_mnist_refuses_other_files(tmp_path, rng, changes, message):
    write_mnist(tmp_path / "mnist.npz", rng, **changes)
    with pytest.raises(DataError, match=rf"^.*mnist\.npz: {message}"):
        load_dataset("mnist", None, tmp_path)
