# SPDX-License-Identifier: Apache-2.0
"""CIFAR10 from a folder the user names, in any of three layouts.

* binary: ``data_batch_1.bin`` .. ``data_batch_5.bin``, ``test_batch.bin``; one record is a label
  byte and 3072 pixel bytes, red plane first (also in a subfolder ``cifar-10-batches-bin``);
* python: ``data_batch_1`` .. ``data_batch_5``, ``test_batch``; dictionaries read by the restricted
  unpickler (also in a subfolder ``cifar-10-batches-py``);
* packed: ``cifar10_jpeg.npz``, see :mod:`stemcore.models.data.jpeg_pack`.

Each split is taken from the first layout in this order that has it, so that other test images can
be put beside the training images in one file, or supplied alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bytes, Labels
from ..errors import DataError
from .dataset import Dataset
from .jpeg_pack import open_pack
from .restricted_pickle import load_restricted

SHAPE = (3, 32, 32)
CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_BATCH = ("test_batch",)
PACK_NAME = "cifar10_jpeg.npz"
_N_VALUES = SHAPE[0] * SHAPE[1] * SHAPE[2]


def find_split(folder: Path | str, names: tuple[str, ...]) -> tuple[str, list[Path]] | None:
    """``(layout, files)`` of one split, with layout binary, python or packed, or None.

    names : tuple of str
        The split's file names without suffix: ``BATCHES`` or ``("test_batch",)``.
    """
    folder = Path(folder)
    for layout, suffix, subfolder in (
        ("binary", ".bin", "cifar-10-batches-bin"),
        ("python", "", "cifar-10-batches-py"),
    ):
        for place in (folder, folder / subfolder):
            files = [place / (name + suffix) for name in names]
            files = [path for path in files if path.is_file()]
            if files:
                return layout, files
    pack = folder / PACK_NAME
    return ("packed", [pack]) if pack.is_file() else None


def has_cifar10(folder: Path | str) -> bool:
    """Whether the folder holds at least one split in a known layout."""
    return any(find_split(folder, names) is not None for names in (BATCHES, TEST_BATCH))


def load_cifar10(
    folder: Path | str, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """CIFAR10 as a :class:`Dataset` of 3 x 32 x 32 images; a split that is not there is empty.

    n_train, n_test : int or None
        Only the first images of a split; files and images beyond them cost nothing.

    Raises :exc:`DataError` when the folder has no known layout or a file is damaged.
    """
    if not has_cifar10(folder):
        raise DataError(
            f"cifar10: {folder} must hold data_batch_1.bin .., data_batch_1 .. or "
            f"{PACK_NAME}; none of them came; name the folder that holds them"
        )
    train_images, train_labels, train_origin = _load_split(folder, BATCHES, n_train)
    test_images, test_labels, test_origin = _load_split(folder, TEST_BATCH, n_test)
    if train_origin == test_origin or train_origin is None:
        origin = test_origin
    elif test_origin is None:
        origin = train_origin
    else:
        origin = f"training {train_origin}, test {test_origin}"
    return Dataset(
        "cifar10",
        train_images,
        train_labels,
        test_images,
        test_labels,
        class_names=CLASS_NAMES,
        provenance=f"CIFAR10, {origin}",
    )


def _load_split(
    folder: Path | str, names: tuple[str, ...], n_wanted: int | None
) -> tuple[Bytes, Labels, str | None]:
    """Images, labels and origin (None where there are no files) of one split."""
    found = find_split(folder, names)
    if found is None:
        return np.empty((0, *SHAPE), np.uint8), np.empty(0, np.int64), None
    layout, files = found
    if layout == "packed":
        return *_load_pack(files[0], names, n_wanted), "JPEG copy (slightly lossy)"
    read = _read_binary if layout == "binary" else _read_python
    return *_load_files(files, read, n_wanted), f"{layout} files"


def _load_pack(path: Path, names: tuple[str, ...], n_wanted: int | None) -> tuple[Bytes, Labels]:
    pack = open_pack(path)
    first, labels = (0, pack.y_train) if names == BATCHES else (len(pack.y_train), pack.y_test)
    labels = labels[:n_wanted]
    return pack.decode(first, first + len(labels), SHAPE), labels


def _load_files(
    files: list[Path], read: Callable[[Path], tuple[Bytes, Labels]], n_wanted: int | None
) -> tuple[Bytes, Labels]:
    """Concatenated images and labels of the files, read up to the wanted number."""
    images, labels = [], []
    for path in files:
        file_images, file_labels = read(path)
        images.append(file_images)
        labels.append(file_labels)
        if n_wanted is not None and sum(map(len, labels)) >= n_wanted:
            break
    return np.concatenate(images)[:n_wanted], np.concatenate(labels)[:n_wanted]


def _read_binary(path: Path) -> tuple[Bytes, Labels]:
    raw = np.fromfile(path, np.uint8)
    record = 1 + _N_VALUES
    if raw.size == 0 or raw.size % record:
        raise DataError(
            f"{path}: a binary batch must be a whole number of {record}-byte records; "
            f"{raw.size} bytes came; get the file again"
        )
    raw = raw.reshape(-1, record)
    return _checked(path, raw[:, 1:], raw[:, 0])


def _read_python(path: Path) -> tuple[Bytes, Labels]:
    batch = load_restricted(path)
    if not isinstance(batch, dict):
        raise DataError(
            f"{path}: a python batch must be a dictionary; "
            f"{type(batch).__name__} came; get the file again"
        )
    fields = {
        key.decode("ascii", "replace") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }
    for name, kind in (("data", np.ndarray), ("labels", (list, np.ndarray))):
        if not isinstance(fields.get(name), kind):
            raise DataError(
                f"{path}: entry '{name}' must be an array or list; "
                f"{type(fields.get(name)).__name__} came; get the file again"
            )
    labels = fields["labels"]
    if isinstance(labels, list) and not all(type(label) is int for label in labels):
        raise DataError(
            f"{path}: one integer label per image must come; a list of something else came; get "
            "the file again"
        )
    return _checked(path, fields["data"], np.asarray(labels))


def _checked(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> tuple[Bytes, Labels]:
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _N_VALUES:
        raise DataError(
            f"{path}: pixels must be uint8 (N, {_N_VALUES}); {pixels.dtype} "
            f"{pixels.shape} came; get the file again"
        )
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: one integer label per image must come; {len(pixels)} images and "
            f"{labels.dtype} {labels.shape} labels came; get the file again"
        )
    if len(labels) and not (0 <= labels.min() and labels.max() < len(CLASS_NAMES)):
        raise DataError(
            f"{path}: labels must lie in 0..9; {labels.min()}..{labels.max()} came; "
            "get the file again"
        )
    return pixels.reshape(-1, *SHAPE), labels.astype(np.int64)
