# SPDX-License-Identifier: Apache-2.0
"""CIFAR10 from a folder the user names, in any of three layouts.

* binary: ``data_batch_1.bin`` .. ``data_batch_5.bin``, ``test_batch.bin``; one record is a label
  byte and 3072 pixel bytes, red plane first (also in a subfolder ``cifar-10-batches-bin``);
* python: ``data_batch_1`` .. ``data_batch_5``, ``test_batch``; dictionaries read by the restricted
  unpickler (also in a subfolder ``cifar-10-batches-py``);
* packed: ``cifar10_jpeg.npz``, see :mod:`models.data.jpeg_pack`.

The binary and python layouts may lack the training or the test files, so that other test images
can be supplied alone.
"""

from pathlib import Path

import numpy as np

from models.data.dataset import Dataset
from models.data.jpeg_pack import open_pack
from models.data.restricted_pickle import load_restricted
from models.errors import DataError

SHAPE = (3, 32, 32)
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
               "truck")
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
PACK_NAME = "cifar10_jpeg.npz"
_N_VALUES = SHAPE[0] * SHAPE[1] * SHAPE[2]


def find_layout(folder):
    """``(layout, folder)`` with layout binary, python or packed, or None where there is none.

    A complete set of either standard layout goes before the lossy packed one.
    """
    folder = Path(folder)
    for layout, suffix, subfolder in (("binary", ".bin", "cifar-10-batches-bin"),
                                      ("python", "", "cifar-10-batches-py")):
        for place in (folder, folder / subfolder):
            if any((place / (name + suffix)).is_file() for name in (*BATCHES, "test_batch")):
                return layout, place
    if (folder / PACK_NAME).is_file():
        return "packed", folder
    return None


def load_cifar10(folder, n_train=None, n_test=None):
    """CIFAR10 as a :class:`Dataset` of 3 x 32 x 32 images.

    n_train, n_test : int or None
        Only the first images of a split; unread files and images cost nothing.

    Raises :exc:`DataError` when the folder has no known layout or a file is damaged.
    """
    found = find_layout(folder)
    if found is None:
        raise DataError(f"cifar10: {folder} must hold data_batch_1.bin .., data_batch_1 .. or "
                        f"{PACK_NAME}; none of them came; name the folder that holds them")
    layout, place = found
    if layout == "packed":
        splits = _load_pack(place / PACK_NAME, n_train, n_test)
        provenance = "CIFAR10, JPEG copy (slightly lossy)"
    else:
        suffix, read = (".bin", _read_binary) if layout == "binary" else ("", _read_python)
        splits = (_load_files(place, BATCHES, suffix, read, n_train)
                  + _load_files(place, ("test_batch",), suffix, read, n_test))
        provenance = f"CIFAR10, {layout} files"
    return Dataset("cifar10", *splits, class_names=CLASS_NAMES, provenance=provenance)


def _load_pack(path, n_train, n_test):
    pack = open_pack(path)
    first_test = len(pack.y_train)
    y_train, y_test = pack.y_train[:n_train], pack.y_test[:n_test]
    return (pack.decode(0, len(y_train), SHAPE), y_train,
            pack.decode(first_test, first_test + len(y_test), SHAPE), y_test)


def _load_files(place, names, suffix, read, n_wanted):
    """Concatenated (images, labels) of the files that exist, up to the wanted number."""
    images = [np.empty((0, *SHAPE), np.uint8)]
    labels = [np.empty(0, np.int64)]
    for name in names:
        path = place / (name + suffix)
        if not path.is_file() or (n_wanted is not None and sum(map(len, labels)) >= n_wanted):
            continue
        file_images, file_labels = read(path)
        images.append(file_images)
        labels.append(file_labels)
    return np.concatenate(images)[:n_wanted], np.concatenate(labels)[:n_wanted]


def _read_binary(path):
    raw = np.fromfile(path, np.uint8)
    record = 1 + _N_VALUES
    if raw.size == 0 or raw.size % record:
        raise DataError(f"{path}: a binary batch must be a whole number of {record}-byte records; "
                        f"{raw.size} bytes came; get the file again")
    raw = raw.reshape(-1, record)
    return _checked(path, raw[:, 1:], raw[:, 0])


def _read_python(path):
    batch = load_restricted(path)
    if not isinstance(batch, dict):
        raise DataError(f"{path}: a python batch must be a dictionary; "
                        f"{type(batch).__name__} came; get the file again")
    fields = {key.decode("ascii", "replace") if isinstance(key, bytes) else key: value
              for key, value in batch.items()}
    for name, kind in (("data", np.ndarray), ("labels", (list, np.ndarray))):
        if not isinstance(fields.get(name), kind):
            raise DataError(f"{path}: entry '{name}' must be an array or list; "
                            f"{type(fields.get(name)).__name__} came; get the file again")
    return _checked(path, fields["data"], np.asarray(fields["labels"]))


def _checked(path, pixels, labels):
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _N_VALUES:
        raise DataError(f"{path}: pixels must be uint8 (N, {_N_VALUES}); {pixels.dtype} "
                        f"{pixels.shape} came; get the file again")
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: one integer label per image must come; {len(pixels)} images and "
                        f"{labels.dtype} {labels.shape} labels came; get the file again")
    if len(labels) and not (0 <= labels.min() and labels.max() < len(CLASS_NAMES)):
        raise DataError(f"{path}: labels must lie in 0..9; {labels.min()}..{labels.max()} came; "
                        "get the file again")
    return pixels.reshape(-1, *SHAPE), labels.astype(np.int64)
