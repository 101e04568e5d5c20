# SPDX-License-Identifier: Apache-2.0
"""The result type of data sets for detection: images, and boxes around what is on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bytes, Labels
from ..errors import DataError
from .dataset import ImageSet

NO_OBJECT = -1
Entry = tuple[NDArray[np.floating[Any]], int, bool]  # box (4,), class, whether it is difficult


@dataclass(frozen=True)
class Objects:
    """What is on N images, at most M objects on each.

    Attributes
    ----------
    boxes : float32 array (N, M, 4)
        x0, y0, x1, y1 in pixels of the images, edges: 0 <= x0 < x1 <= width.
    classes : int64 array (N, M)
        Index into the data set's class names; ``NO_OBJECT`` where a row has fewer objects.
    difficult : bool array (N, M)
        Objects that count neither as found nor as missed.
    """

    boxes: NDArray[np.float32]
    classes: Labels
    difficult: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, part: slice | Labels) -> "Objects":
        """The objects of some images: a slice or an array of indices."""
        return Objects(self.boxes[part], self.classes[part], self.difficult[part])


def pack_objects(lists: Sequence[Sequence[Entry]]) -> Objects:
    """:class:`Objects` from one list of ``(box, class, difficult)`` per image."""
    most = max((len(one) for one in lists), default=0)
    objects = Objects(
        np.zeros((len(lists), most, 4), np.float32),
        np.full((len(lists), most), NO_OBJECT, np.int64),
        np.zeros((len(lists), most), bool),
    )
    for i, one in enumerate(lists):
        for j, (box, label, difficult) in enumerate(one):
            objects.boxes[i, j], objects.classes[i, j] = box, label
            objects.difficult[i, j] = difficult
    return objects


@dataclass(frozen=True)
class BoxDataset(ImageSet):
    """Images with boxes; the counterpart of :class:`stemcore.models.data.dataset.Dataset`.

    Attributes
    ----------
    name : str
    train_images, test_images : uint8 array (N, C, H, W)
    train_objects, test_objects : Objects
    class_names : tuple of str
    provenance : str
    notes : tuple of str
        What was left out or changed of the source, one line each.

    Raises :exc:`DataError` when the arrays do not fit together.
    """

    name: str
    train_images: Bytes
    train_objects: Objects
    test_images: Bytes
    test_objects: Objects
    class_names: tuple[str, ...]
    provenance: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            self._check_split(
                f"{self.name} {split}",
                getattr(self, f"{split}_images"),
                getattr(self, f"{split}_objects"),
            )

    def _check_split(self, where: str, images: Bytes, objects: Objects) -> None:
        self.check_pixels(where, images)
        if len(objects) != len(images):
            raise DataError(
                f"{where}: every image needs its row of objects; {len(images)} images "
                f"and {len(objects)} rows came; check that both are complete"
            )
        real = objects.classes != NO_OBJECT
        labels, boxes = objects.classes[real], objects.boxes[real]
        if ((labels < 0) | (labels >= len(self.class_names))).any():
            raise DataError(
                f"{where}: classes must lie in 0..{len(self.class_names) - 1}; "
                f"{labels.min()}..{labels.max()} came; check the annotations"
            )
        limits = np.array([images.shape[3], images.shape[2]] * 2)
        if (boxes < 0).any() or (boxes > limits).any() or (boxes[:, :2] >= boxes[:, 2:]).any():
            raise DataError(
                f"{where}: boxes must have an area and lie within the image; other "
                "boxes came; clip them before building the BoxDataset"
            )
