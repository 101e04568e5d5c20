# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures without labels, directly in it; calibrated and tested on the same ones."""

from collections import Counter
from pathlib import Path

import numpy as np

from ..arrays import Shape
from ..errors import DataError
from .dataset import NO_LABEL, Dataset
from .files import FolderTree, shown
from .image_files import Notes, decode, fill, in_words, is_picture

NAME = "pictures"


def picture_files(folder: Path) -> list[str]:
    """Names of the pictures directly in a folder, sorted."""
    return [name for name in FolderTree(folder).names() if is_picture(name) and "/" not in name]


def load_pictures(
    folder: Path, input_shape: Shape, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """The pictures as a :class:`Dataset` without labels, cropped to ``input_shape`` (C, H, W).

    n_train, n_test : int or None
        Only the first pictures, by name.
    """
    where, names = shown(folder), picture_files(folder)
    if not names:
        raise DataError(f"{where}: must hold pictures; it has none; name another folder")
    notes: Notes = Counter()
    n_most = max(len(names) if n is None else n for n in (n_train, n_test))
    tree = FolderTree(folder)
    images = np.empty((min(n_most, len(names)), *input_shape), np.uint8)
    for i, name in enumerate(names[:n_most]):
        picture = decode(tree.read(name), f"{where}/{shown(name)}", input_shape[0], notes)
        images[i] = fill(picture, *input_shape[1:], notes)
    n_others = sum(not is_picture(name) or "/" in name for name in tree.names())
    if n_others:
        notes["files left out: no pictures, or in a folder further down"] = n_others
    labels = np.full(len(images), NO_LABEL, np.int64)
    return Dataset(
        NAME,
        images[:n_train],
        labels[:n_train],
        images[:n_test],
        labels[:n_test],
        (),
        f"{shown(folder.name)}: {len(names)} pictures, no labels",
        (*in_words(notes), "calibrated and tested on the same pictures: there are no others"),
    )
