# SPDX-License-Identifier: Apache-2.0
"""The one result type of every data set, and the fitting of its images to a model's input."""

from dataclasses import dataclass

import numpy as np

from ..arrays import Bytes, Floats, Images, Labels, Shape
from ..errors import DataError

NO_LABEL = -1


class ImageSet:
    """What follows from the images and class names of any data set."""

    test_images: Images
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        channels, height, width = self.test_images.shape[1:]
        return channels, height, width

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def check_pixels(self, where: str, images: Images) -> None:
        """Raises :exc:`DataError` unless ``images`` are bytes of pictures."""
        if images.dtype != np.uint8 or images.ndim != 4:
            raise DataError(
                f"{where}: images must be uint8 (N, C, H, W); {images.dtype} {images.shape} came; "
                f"convert them before building the {type(self).__name__}"
            )


@dataclass(frozen=True)
class Dataset(ImageSet):
    """Images and labels of one data set.

    Attributes
    ----------
    name : str
        Key under which :func:`stemcore.models.data.load_dataset` knows it.
    train_images, test_images : array (N, C, H, W)
        uint8, bytes of pictures, or float32, what the float network sees. In the order of the
        source; N may be 0 where the folder has no such file.
    train_labels, test_labels : int64 array (N,)
        Index into ``class_names``; all ``NO_LABEL`` where there are no labels.
    class_names : tuple of str
        Empty where there are no labels.
    provenance : str
        One line to stand next to every figure measured on these images.
    notes : tuple of str
        What was left out, renamed or rescaled of the source, one line each.
    value_range : (float, float) or None
        Smallest and largest value of the whole source, of floats.
    metric : str
        What the share of images is called whose largest output is the label's.

    Raises :exc:`DataError` when the arrays do not fit together.
    """

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    class_names: tuple[str, ...]
    provenance: str
    notes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    metric: str = "accuracy"

    @property
    def has_labels(self) -> bool:
        """Whether it is known what the images show."""
        return bool(self.class_names)

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            self._check_split(
                split, getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}: training and test images must have one shape; "
                f"{self.train_images.shape[1:]} and {self.test_images.shape[1:]} came; "
                "convert one of them"
            )

    def _check_split(self, split: str, images: Images, labels: Labels) -> None:
        where = f"{self.name} {split}"
        if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
            raise DataError(
                f"{where}: images must be uint8 or float32 (N, C, H, W); {images.dtype} "
                f"{images.shape} came; convert them before building the Dataset"
            )
        if labels.shape != (len(images),):
            raise DataError(
                f"{where}: one label per image must come; {len(images)} images and "
                f"{labels.shape} labels came; check that both files are complete"
            )
        if not self.has_labels and (labels == NO_LABEL).all():
            return
        if len(labels) and not (0 <= labels.min() and labels.max() < len(self.class_names)):
            raise DataError(
                f"{where}: labels must lie in 0..{len(self.class_names) - 1}; "
                f"{labels.min()}..{labels.max()} came; check the label file"
            )


def resize_bilinear(images: Bytes, height: int, width: int) -> Bytes:
    """Bilinear resize, pixel centres at half coordinates, edges repeated, halves to even.

    images : uint8 (N, C, H, W). Returns uint8 (N, C, height, width); the same array when nothing
    changes. Shrinking samples without a low-pass filter.
    """
    if images.shape[2:] == (height, width):
        return images
    rows = _interpolation(images.shape[2], height)
    columns = _interpolation(images.shape[3], width)
    resized = np.einsum("yh,nchw,xw->ncyx", rows, images.astype(np.float64), columns, optimize=True)
    # Products of short binary fractions are exact for whole ratios, so rint is reproducible there.
    rounded: Bytes = np.rint(resized).astype(np.uint8)
    return rounded


def _interpolation(n_in: int, n_out: int) -> Floats:
    """Matrix (n_out, n_in) of linear interpolation weights, each row summing to 1."""
    centre = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    low = np.minimum(centre.astype(np.int64), max(n_in - 2, 0))
    weights = np.zeros((n_out, n_in))
    weights[np.arange(n_out), low] = 1 - (centre - low)
    weights[np.arange(n_out), np.minimum(low + 1, n_in - 1)] += centre - low
    return weights


def fit_images(images: Bytes, input_shape: Shape, where: str) -> Bytes:
    """Images resized and, from grey, repeated over channels, to a model's (C, H, W).

    where : str naming the data set, the start of the error text.
    Raises :exc:`DataError` when colour images would have to lose channels.
    """
    channels, height, width = input_shape
    if images.shape[1] not in (1, channels):
        raise DataError(
            f"{where}: a model with {channels} input channels needs grey images or "
            f"images of {channels} channels; {images.shape[1]} channels came; choose "
            "a model with matching input"
        )
    images = resize_bilinear(images, height, width)
    if images.shape[1] != channels:
        images = np.repeat(images, channels, axis=1)
    return images
