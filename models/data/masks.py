# SPDX-License-Identifier: Apache-2.0
"""The result type of data sets for segmentation: images, and the class of every pixel."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Bytes
from ..errors import DataError
from .dataset import ImageSet


@dataclass(frozen=True)
class MaskDataset(ImageSet):
    """Images with a class for each pixel; the counterpart of
    :class:`stemcore.models.data.dataset.Dataset`.

    Attributes
    ----------
    name : str
    train_images, test_images : uint8 array (N, C, H, W)
    train_masks, test_masks : uint8 array (N, H, W)
        Index into ``class_names``.
    class_names : tuple of str
    provenance : str
    notes : tuple of str
        What was left out or changed of the source, one line each.

    Raises :exc:`DataError` when the arrays do not fit together.
    """

    name: str
    train_images: Bytes
    train_masks: Bytes
    test_images: Bytes
    test_masks: Bytes
    class_names: tuple[str, ...]
    provenance: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check("train", self.train_images, self.train_masks)
        self._check("test", self.test_images, self.test_masks)

    def _check(self, split: str, images: Bytes, masks: Bytes) -> None:
        where = f"{self.name} {split}"
        self.check_pixels(where, images)
        wanted = len(images), *images.shape[2:]
        if masks.dtype != np.uint8 or masks.shape != wanted:
            raise DataError(
                f"{where}: masks must be uint8 {wanted}, a class for each pixel; {masks.dtype} "
                f"{masks.shape} came; check that images and masks belong together"
            )
        if masks.size and masks.max() >= len(self.class_names):
            raise DataError(
                f"{where}: classes must lie in 0..{len(self.class_names) - 1}; {masks.max()} came; "
                "check the masks"
            )
