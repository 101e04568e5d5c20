# SPDX-License-Identifier: Apache-2.0
"""Data sets as bytes: finding them, loading them, turning them into network input."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemcore.nearest import did_you_mean

from ..arrays import Shape
from ..errors import DataError
from .array_file import NAME as ARRAYS
from .array_file import is_array_file, load_arrays
from .boxes import BoxDataset
from .cifar10 import CLASS_NAMES as CIFAR10_NAMES
from .cifar10 import has_cifar10, load_cifar10
from .dataset import Dataset, fit_images
from .digit_boxes import load_digit_boxes
from .digits import load_digits
from .files import is_archive, open_tree, shown
from .flat_folder import NAME as PICTURES
from .flat_folder import load_pictures, picture_files
from .imagenet import ImageTree, find_imagenet, load_imagenet
from .masks import MaskDataset
from .mnist import find_mnist, load_mnist
from .preprocess import to_float_input, to_integer_input
from .shapes import CLASS_NAMES as SHAPE_NAMES
from .shapes import load_shapes
from .tones import CLASS_NAMES as TONE_NAMES
from .tones import load_tones
from .voc import LISTS, VocTree, find_voc, load_voc

__all__ = [
    "ARRAYS",
    "CLASSIFICATION",
    "DATASETS",
    "DEFAULT_DATASETS",
    "DETECTION",
    "HOLDS",
    "SEGMENTATION",
    "SOURCES",
    "AnyDataset",
    "BoxDataset",
    "Dataset",
    "MaskDataset",
    "check_dataset",
    "check_folder",
    "find_data",
    "has_labels",
    "load_class_names",
    "load_dataset",
    "resolve_dataset",
    "to_float_input",
    "to_integer_input",
]

CLASSIFICATION, DETECTION, SEGMENTATION = "classification", "detection", "segmentation"
# The data set that comes with the project or is made on the spot, for each task.
DEFAULT_DATASETS = {CLASSIFICATION: "digits", DETECTION: "digit_boxes", SEGMENTATION: "shapes"}
# What the data sets of a task have.
HOLDS = {
    CLASSIFICATION: "images with one label each",
    DETECTION: "images with boxes",
    SEGMENTATION: "images with a class for each pixel",
}
AnyDataset = Dataset | BoxDataset | MaskDataset
TEN = tuple("0123456789")


@dataclass(frozen=True)
class Source:
    """How one data set is found and read.

    Attributes
    ----------
    task : str
        ``CLASSIFICATION``, ``DETECTION`` or ``SEGMENTATION``.
    load : callable
        ``(place, input_shape, n_train, n_test)``; the loaded set.
    find : callable or None
        From a folder to the place that holds the set, or None there; None for a set that needs no
        folder.
    wants : str
        What a folder must hold, for errors.
    class_names : tuple of str or callable
        Known, or read from the place.
    fits : bool
        Whether ``load`` gives images of the model's size by itself.
    has_size : bool
        Whether the images have one size, also where no model asks for one.
    """

    task: str
    load: Callable[..., AnyDataset]
    find: Callable[[Path], Path | None] | None = None
    wants: str = ""
    class_names: tuple[str, ...] | Callable[[Path], tuple[str, ...]] = TEN
    fits: bool = False
    has_size: bool = True


def _imagenet_source(name: str) -> Source:
    return Source(
        CLASSIFICATION,
        lambda place, shape, n_train, n_test: load_imagenet(place, shape, n_train, n_test, name),
        lambda folder: find_imagenet(folder, name),
        f"train/<class>/ and val/<class>/, a folder {name}.. of them, or {name}..tar",
        lambda place: ImageTree(place).class_names,
        fits=True,
        has_size=False,
    )


DATASETS = {
    "digits": Source(CLASSIFICATION, lambda place, shape, *counts: load_digits(*counts)),
    "cifar10": Source(
        CLASSIFICATION,
        lambda place, shape, *counts: load_cifar10(place, *counts),
        lambda folder: folder if has_cifar10(folder) else None,
        "data_batch_1.bin .., data_batch_1 .. or cifar10_jpeg.npz",
        CIFAR10_NAMES,
    ),
    "mnist": Source(
        CLASSIFICATION,
        lambda place, shape, *counts: load_mnist(place, *counts),
        find_mnist,
        "mnist.npz",
    ),
    "imagenet": _imagenet_source("imagenet"),
    "imagenette": _imagenet_source("imagenette"),
    "digit_boxes": Source(
        DETECTION, lambda place, *rest: load_digit_boxes(*rest), fits=True, has_size=False
    ),
    "shapes": Source(
        SEGMENTATION,
        lambda place, *rest: load_shapes(*rest),
        class_names=SHAPE_NAMES,
        fits=True,
        has_size=False,
    ),
    "tones": Source(
        CLASSIFICATION,
        lambda place, *rest: load_tones(*rest),
        class_names=TONE_NAMES,
        fits=True,
        has_size=False,
    ),
    "voc": Source(
        DETECTION,
        load_voc,
        find_voc,
        "Annotations, JPEGImages and ImageSets/Main, VOCdevkit/VOC2007, or voc..tar",
        lambda place: VocTree(place).class_names(),
        fits=True,
        has_size=False,
    ),
}
# Sets that have no name of their own: a path says which one it is.
LAYOUTS = {
    ARRAYS: Source(
        CLASSIFICATION,
        load_arrays,
        lambda place: place if place.is_file() else None,
        "a file .npz or .npy",
        lambda place: load_arrays(place).class_names,
        fits=True,
    ),
    PICTURES: Source(
        CLASSIFICATION,
        load_pictures,
        lambda place: place if place.is_dir() else None,
        "pictures",
        (),
        fits=True,
        has_size=False,
    ),
}
SOURCES = {**DATASETS, **LAYOUTS}


def find_data(dataset: str, folder: Path | str | None = None) -> Path | None:
    """The folder or file that holds a data set, or None for one that needs no folder.

    Looked at: ``folder``, else the environment variable ``STEMCORE_DATA``, else ``data`` in the
    working directory. Raises :exc:`DataError` where the set is not there.
    """
    check_dataset(dataset)
    source = SOURCES[dataset]
    if source.find is None:
        return None
    place = Path(folder or os.environ.get("STEMCORE_DATA") or Path.cwd() / "data")
    found = source.find(place)
    if found is None:
        raise DataError(
            f"{dataset}: a folder with {source.wants} must be found; looked at {place}; name it "
            "with --data (make: DATA=..) or the variable STEMCORE_DATA, or use the dataset "
            f"{DEFAULT_DATASETS[source.task]}"
        )
    return found


def load_dataset(
    dataset: str,
    input_shape: Shape | None = None,
    folder: Path | str | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
) -> AnyDataset:
    """One data set as its task has it (:class:`Dataset`, :class:`BoxDataset`,
    :class:`MaskDataset`), fitted to a model's (C, H, W).

    input_shape : tuple or None
        None leaves the images at their own size, where all have one.
    folder : path or None
        See :func:`find_data`.
    n_train, n_test : int or None
        Only the first images of a split; the others are not decoded.

    Raises :exc:`DataError` for an unknown name, missing or damaged files, or colour images for a
    model with another number of channels.
    """
    place = find_data(dataset, folder)
    source = SOURCES[dataset]
    if not source.has_size and input_shape is None:
        raise DataError(
            f"{dataset}: its pictures have many sizes and need an input_shape "
            "(C, H, W); None came; give that of the model"
        )
    loaded = source.load(place, input_shape, n_train, n_test)
    if source.fits or input_shape is None:
        return loaded
    assert isinstance(loaded, Dataset), "sets with boxes or masks fit them themselves"
    size = loaded.image_shape[1:]
    notes = loaded.notes
    if size != input_shape[1:]:
        was, now = (" x ".join(map(str, sizes)) for sizes in (size, input_shape[1:]))
        notes = (*notes, f"pictures of {was} resized to {now}")
    return dataclasses.replace(
        loaded,
        train_images=fit_images(loaded.train_images, input_shape, dataset),
        test_images=fit_images(loaded.test_images, input_shape, dataset),
        notes=notes,
    )


def load_class_names(dataset: str, folder: Path | str | None = None) -> tuple[str, ...]:
    """Names of a data set's classes, without loading its images."""
    place = find_data(dataset, folder)
    names = SOURCES[dataset].class_names
    if not callable(names):
        return names
    assert place is not None, "classes are read from a set that lies in a folder"
    return names(place)


def has_labels(dataset: str, folder: Path | str | None = None) -> bool:
    """Whether it is known what the images of a data set show."""
    return SOURCES[dataset].task != CLASSIFICATION or bool(load_class_names(dataset, folder))


def resolve_dataset(text: str, folder: Path | str | None = None) -> tuple[str, Path | str | None]:
    """``(name, folder)`` of what a user wrote: a known name, or the path of a set.

    A path holds a set in the layout of ImageNet or VOC, arrays, or pictures without labels. Raises
    :exc:`DataError` for another.
    """
    if text in LAYOUTS and folder is not None:  # resolved before
        return text, folder
    is_name = not ("/" in text or is_array_file(text) or Path(text).exists())
    if text in DATASETS or is_name:
        check_dataset(text)
        return text, folder
    place = Path(text)
    if not place.exists():
        raise DataError(
            f"dataset: a path must lead to a folder or a file; nothing is at {shown(text)}; check "
            "it, mind links that lead nowhere"
        )
    if is_array_file(text):
        return ARRAYS, place
    if place.is_file() and is_archive(text):
        has_lists = any(LISTS in name for name in open_tree(place).names())
        return ("voc" if has_lists else "imagenet"), place
    for name in ("imagenet", "voc"):
        find = DATASETS[name].find
        if place.is_dir() and find is not None and find(place) is not None:
            return name, place
    if place.is_dir() and picture_files(place):
        return PICTURES, place
    raise DataError(
        f"dataset: a path must be a folder with {DATASETS['imagenet'].wants}, with "
        f"{DATASETS['voc'].wants}, with pictures directly in it, or a file .npz; {shown(text)} "
        f"came, {_contents(place)}; name such a path or one of {', '.join(DATASETS)}"
    )


def _contents(place: Path) -> str:
    """What a path that is no data set has, for errors."""
    if not place.is_dir():
        return "a file of another kind"
    folders = open_tree(place).folders("")
    if "train" in folders:
        return "which has train and no val"
    return f"which has the folders {', '.join(map(shown, folders[:3])) or 'none'}"


def check_folder(text: str, folder: Path | str | None) -> None:
    """Raises :exc:`DataError` for a folder that the data set ``text``, a known name or a path, does
    not read: whoever names it would get other data than expected."""
    if folder is None or text not in DATASETS:
        came = None if folder is None else f"{shown(text)} is a path itself"
    else:
        came = None if DATASETS[text].find else f"{text} comes with the package"
    if came:
        raise DataError(
            f"data: must be of a data set that lies in a folder; {came}, and {shown(folder)} would "
            "not be read; leave --data (make: DATA=..) out, or name another data set"
        )


def check_dataset(dataset: str) -> None:
    """Raises :exc:`DataError` unless a data set has this name."""
    if dataset not in SOURCES:
        raise DataError(
            f"dataset: must be one of {', '.join(DATASETS)}; {dataset!r} came; choose one of them"
            + did_you_mean(dataset, DATASETS)
        )
