# SPDX-License-Identifier: Apache-2.0
"""CIFAR10 in each layout, from small folders made by hand."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import find_data, load_dataset
from stemcore.models.data.cifar10 import load_cifar10
from stemcore.models.errors import DataError

END_OF_IMAGE = b"\xff\xd9"


@pytest.fixture
def batch(rng):
    """Ten images (N, 3, 32, 32) with their labels."""
    return rng.integers(0, 256, (10, 3, 32, 32), np.uint8), rng.permutation(10)


def write_binary(path, images, labels):
    records = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(len(images), -1)], 1)
    path.write_bytes(records.tobytes())


def write_python(path, images, labels, protocol=2):
    fields = {
        b"batch_label": b"testing",
        b"labels": [int(n) for n in labels],
        b"data": images.reshape(len(images), -1),
        b"filenames": [b"a.png"] * len(images),
    }
    path.write_bytes(pickle.dumps(fields, protocol=protocol))


def pack_of(pictures, n_train):
    """Arrays of a pack; all JPEGs of one size and quality share their header."""
    files = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=75)
        files.append(buffer.getvalue())
    n_header = files[0].index(b"\xff\xda")
    bodies = [file[n_header : -len(END_OF_IMAGE)] for file in files]
    labels = np.arange(len(files)) % 10
    return {
        "header": np.frombuffer(files[0][:n_header], np.uint8),
        "length": np.array([len(body) for body in bodies], np.uint16),
        "data": np.frombuffer(b"".join(bodies), np.uint8),
        "y_train": labels[:n_train],
        "y_test": labels[n_train:],
    }


@pytest.fixture
def pack(rng):
    return pack_of(rng.integers(0, 256, (5, 32, 32, 3), np.uint8), n_train=3)


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_binary_layout(tmp_path, batch, subfolder):
    images, labels = batch
    place = tmp_path / subfolder
    place.mkdir(exist_ok=True)
    write_binary(place / "data_batch_1.bin", images[:4], labels[:4])
    write_binary(place / "data_batch_2.bin", images[4:7], labels[4:7])
    write_binary(place / "test_batch.bin", images[7:], labels[7:])
    dataset = load_cifar10(tmp_path)
    np.testing.assert_array_equal(dataset.train_images, images[:7])
    np.testing.assert_array_equal(dataset.train_labels, labels[:7])
    np.testing.assert_array_equal(dataset.test_images, images[7:])
    np.testing.assert_array_equal(dataset.test_labels, labels[7:])
    assert dataset.provenance == "CIFAR10, binary files"
    assert len(load_cifar10(tmp_path, n_train=5).train_images) == 5


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_python_layout(tmp_path, batch, protocol):
    images, labels = batch
    write_python(tmp_path / "data_batch_1", images[:6], labels[:6], protocol)
    write_python(tmp_path / "test_batch", images[6:], labels[6:], protocol)
    dataset = load_cifar10(tmp_path)
    np.testing.assert_array_equal(dataset.train_images, images[:6])
    np.testing.assert_array_equal(dataset.test_images, images[6:])
    np.testing.assert_array_equal(dataset.test_labels, labels[6:])
    assert dataset.provenance == "CIFAR10, python files"


def test_packed_layout(tmp_path, rng):
    smooth = np.repeat(np.repeat(rng.integers(0, 256, (5, 4, 4, 3), np.uint8), 8, 1), 8, 2)
    np.savez(tmp_path / "cifar10_jpeg.npz", **pack_of(smooth, n_train=3))
    dataset = load_cifar10(tmp_path)
    assert dataset.train_images.shape == (3, 3, 32, 32)
    assert dataset.test_labels.tolist() == [3, 4]
    error = dataset.train_images.astype(int) - smooth[:3].transpose(0, 3, 1, 2)
    assert np.abs(error).mean() < 16
    assert dataset.provenance == "CIFAR10, JPEG copy (slightly lossy)"


def test_test_images_alone_or_beside_a_pack(tmp_path, batch, pack):
    images, labels = batch
    write_binary(tmp_path / "test_batch.bin", images, labels)
    alone = load_cifar10(tmp_path)
    assert len(alone.train_images) == 0
    np.testing.assert_array_equal(alone.test_images, images)
    np.savez(tmp_path / "cifar10_jpeg.npz", **pack)
    beside = load_cifar10(tmp_path)
    assert len(beside.train_images) == 3
    np.testing.assert_array_equal(beside.test_images, images)
    assert beside.provenance == ("CIFAR10, training JPEG copy (slightly lossy), test binary files")


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"^cifar10: .* must hold data_batch_1\.bin \.\., .*; none"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 3072, 3074])
def test_binary_refuses_a_partial_record(tmp_path, n_bytes):
    (tmp_path / "test_batch.bin").write_bytes(bytes(n_bytes))
    with pytest.raises(
        DataError,
        match=rf"^.*test_batch\.bin: a binary batch must be a whole "
        rf"number of 3073-byte records; {n_bytes} bytes came",
    ):
        load_cifar10(tmp_path)


def test_binary_refuses_a_label_out_of_range(tmp_path, batch):
    write_binary(tmp_path / "test_batch.bin", batch[0], batch[1] + 1)
    with pytest.raises(DataError, match=r"^.*test_batch\.bin: labels must lie in 0\.\.9; 1\.\.10"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a python batch must be a dictionary; list came"),
        ({b"labels": [1]}, "entry 'data' must be an array or list; NoneType came"),
        ({b"data": np.zeros((1, 3072), np.uint8)}, "entry 'labels' must be an array or list"),
        (
            {b"data": np.zeros((1, 9), np.uint8), b"labels": [1]},
            r"pixels must be uint8 \(N, 3072\)",
        ),
        (
            {b"data": np.zeros((1, 3072), np.uint8), b"labels": [1, 2]},
            "one integer label per image",
        ),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [0.5]}, "one integer label per image"),
    ],
)
def test_python_refuses_other_contents(tmp_path, content, message):
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=rf"^.*test_batch: {message}"):
        load_cifar10(tmp_path)


def test_pack_refuses_damage(tmp_path, pack):
    path = tmp_path / "cifar10_jpeg.npz"
    path.write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match=r"^.*npz: must be an npz archive without pickled objects"):
        load_cifar10(tmp_path)
    np.savez(path, **{name: array for name, array in pack.items() if name != "header"})
    with pytest.raises(DataError, match=r"^.*npz: a JPEG pack must hold .*; header missing"):
        load_cifar10(tmp_path)
    np.savez(path, **(pack | {"length": pack["length"][:-1]}))
    with pytest.raises(DataError, match=r"^.*npz: lengths must cover the data"):
        load_cifar10(tmp_path)
    np.savez(path, **(pack | {"header": np.zeros(10, np.uint8)}))
    with pytest.raises(DataError, match=r"^.*npz image 0: must be a JPEG; the decoder says"):
        load_cifar10(tmp_path)
    np.savez(path, **(pack | {"y_train": np.array([{}, {}, {}])}))
    with pytest.raises(DataError, match=r"^.*npz: must be an npz archive without pickled objects"):
        load_cifar10(tmp_path)


def test_pack_refuses_another_image_size(tmp_path, rng):
    pictures = rng.integers(0, 256, (1, 16, 32, 3), np.uint8)
    np.savez(tmp_path / "cifar10_jpeg.npz", **pack_of(pictures, n_train=1))
    with pytest.raises(DataError, match=r"^.*npz image 0: must be 32 x 32 pixels; 16 x 32 came"):
        load_cifar10(tmp_path)


def test_real_images_decode():
    try:
        folder = find_data("cifar10")
    except DataError as error:
        pytest.skip(str(error))
    few = load_dataset("cifar10", (3, 32, 32), folder, n_train=20, n_test=20)
    assert few.train_images.shape == few.test_images.shape == (20, 3, 32, 32)
    # The first training image of CIFAR10 is a frog, the first test image a cat.
    assert few.class_names[few.train_labels[0]] == "frog"
    assert few.class_names[few.test_labels[0]] == "cat"
    assert few.train_images.std() > 20
