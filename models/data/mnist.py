# SPDX-License-Identifier: Apache-2.0
"""MNIST from ``mnist.npz``: X_train, y_train, X_test, y_test, or x_train .. of Keras's file."""

from pathlib import Path

import numpy as np

from stemcore.numpy_files import read_arrays

from ..errors import DataError
from .dataset import Dataset

FILE_NAME = "mnist.npz"
SHAPE = (28, 28)


def find_mnist(folder: Path) -> Path | None:
    """The file in or at ``folder``, or None."""
    path = folder if folder.is_file() else folder / FILE_NAME
    return path if path.is_file() else None


def load_mnist(path: Path | str, n_train: int | None = None, n_test: int | None = None) -> Dataset:
    """MNIST as a :class:`Dataset` of 1 x 28 x 28 images. Raises :exc:`DataError` for other files.

    n_train, n_test : int or None
        Only the first images of a split.
    """
    try:
        stored = read_arrays(path)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path}: must be an npz archive without pickled objects; reading it gave "
            f"{error}; get the file again"
        ) from error
    arrays = {"": stored} if isinstance(stored, np.ndarray) else stored
    arrays = {name.lower(): array for name, array in arrays.items()}
    missing = [key for key in ("x_train", "y_train", "x_test", "y_test") if key not in arrays]
    if missing:
        raise DataError(
            f"{path}: must hold x_train, y_train, x_test and y_test; "
            f"{', '.join(missing)} missing; get the file again"
        )
    for key in ("x_train", "x_test"):
        if arrays[key].shape[1:] != SHAPE or arrays[key].dtype != np.uint8:
            raise DataError(
                f"{path}: {key} must be uint8 (N, 28, 28); {arrays[key].dtype} "
                f"{arrays[key].shape} came; get the file again"
            )
    for key in ("y_train", "y_test"):
        if arrays[key].ndim != 1 or arrays[key].dtype.kind not in "iu":
            raise DataError(
                f"{path}: {key} must be integers (N,); {arrays[key].dtype} {arrays[key].shape} "
                "came; get the file again"
            )
    return Dataset(
        "mnist",
        arrays["x_train"][:n_train, None],
        arrays["y_train"][:n_train].astype(np.int64),
        arrays["x_test"][:n_test, None],
        arrays["y_test"][:n_test].astype(np.int64),
        class_names=tuple("0123456789"),
        provenance="MNIST",
    )
