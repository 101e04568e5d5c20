# SPDX-License-Identifier: Apache-2.0
"""Data sets as bytes: finding them, loading them, turning them into network input."""

import dataclasses
import os
from pathlib import Path

from models.data.cifar10 import has_cifar10, load_cifar10
from models.data.dataset import Dataset, fit_images
from models.data.digits import load_digits
from models.data.preprocess import to_float_input, to_integer_input
from models.errors import DataError

__all__ = ["DATASETS", "Dataset", "check_dataset", "find_data", "load_dataset", "to_float_input",
           "to_integer_input"]

DATASETS = ("digits", "cifar10")
_ROOT = Path(__file__).resolve().parents[2]


def find_data(dataset, folder=None):
    """The folder that holds a data set, or None for one that needs no folder.

    Looked at: ``folder``, else the environment variable ``STEMCORE_DATA``, else ``DATA``, else
    ``data`` and then ``../shared/data`` of the repository. A folder that is named, by argument or
    variable, must hold the data set. Raises :exc:`DataError` where nothing is found.
    """
    check_dataset(dataset)
    if dataset == "digits":
        return None
    named = folder or os.environ.get("STEMCORE_DATA") or os.environ.get("DATA")
    places = [Path(named)] if named else [_ROOT / "data", _ROOT.parent / "shared" / "data"]
    for place in places:
        if has_cifar10(place):
            return place
    raise DataError(f"{dataset}: a folder with data_batch_1.bin .., data_batch_1 .. or "
                    f"cifar10_jpeg.npz must be found; looked at {', '.join(map(str, places))}; "
                    "name it with DATA=.. or STEMCORE_DATA, or use the dataset digits")


def load_dataset(dataset, input_shape=None, folder=None, n_train=None, n_test=None):
    """One data set as a :class:`Dataset`, its images fitted to a model's (C, H, W).

    input_shape : tuple or None
        None leaves the images at their own size.
    folder : path or None
        See :func:`find_data`.
    n_train, n_test : int or None
        Only the first images of a split; the others are not decoded.

    Raises :exc:`DataError` for an unknown name, missing or damaged files, or colour images for a
    model with another number of channels.
    """
    place = find_data(dataset, folder)
    if dataset == "digits":
        loaded = load_digits(n_train, n_test)
    else:
        loaded = load_cifar10(place, n_train, n_test)
    if input_shape is None:
        return loaded
    return dataclasses.replace(
        loaded,
        train_images=fit_images(loaded.train_images, input_shape, dataset),
        test_images=fit_images(loaded.test_images, input_shape, dataset))


def check_dataset(dataset):
    """Raises :exc:`DataError` unless a data set has this name."""
    if dataset not in DATASETS:
        raise DataError(f"dataset: must be one of {', '.join(DATASETS)}; {dataset!r} came; "
                        "choose one of them")
