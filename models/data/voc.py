# SPDX-License-Identifier: Apache-2.0
"""Detection sets in the layout of PASCAL VOC, from a folder or a tar archive.

``Annotations/<id>.xml``, ``JPEGImages/<id>.jpg`` and ``ImageSets/Main/{train,val,test}.txt``, lists
of ids; at the top, or below ``VOCdevkit/VOC2007`` or another single place. Training images are
those of ``trainval`` or ``train``; tests use ``test``, else ``val``. Where ``test`` is missing,
``trainval`` would hold the test images, and ``train`` is taken.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..arrays import Bytes, Floats, Shape
from ..errors import DataError
from .boxes import BoxDataset, Objects, pack_objects
from .files import open_tree
from .image_files import decode, letterbox

CLASS_NAMES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
# Class name; x0, y0, x1, y1 in pixel edges of the file's image; whether it is difficult.
Annotation = tuple[str, tuple[float, float, float, float], bool]
LISTS = "ImageSets/Main/"
# A smaller box, in pixels of the network's input, is nothing to learn from.
SMALLEST = 1.0


class VocTree:
    """A tree in VOC layout: its split lists and annotations.

    Raises :exc:`DataError` when the place has no ``ImageSets/Main`` or more than one.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._tree = open_tree(place)
        names = self._tree.names()
        roots = {
            name.partition(LISTS)[0] for name in names if LISTS in name and name.endswith(".txt")
        }
        if len(roots) != 1:
            raise DataError(
                f"{place}: must hold one folder ImageSets/Main with lists of images; "
                f"{len(roots)} came; name the folder of one year, such as "
                "VOCdevkit/VOC2007"
            )
        self._root = roots.pop()
        lists = [
            name.removeprefix(self._root + LISTS)
            for name in names
            if name.startswith(self._root + LISTS)
        ]
        has_test = "test.txt" in lists
        self.splits = {
            "test": "test" if has_test else "val",
            "train": "trainval" if has_test and "trainval.txt" in lists else "train",
        }

    def ids(self, split: str) -> list[str]:
        """Image ids of ``train`` or ``test``, in the order of the list."""
        name = f"{self._root}{LISTS}{self.splits[split]}.txt"
        lines = self._tree.read(name).decode("utf-8", "replace").split("\n")
        return [line.split()[0] for line in lines if line.strip()]

    def objects(self, image_id: str) -> list[Annotation]:
        """List of ``(class name, box, difficult)``, box in pixel edges of the file's image."""
        name = f"{self._root}Annotations/{image_id}.xml"
        return read_annotation(self._tree.read(name), f"{self.place}/{name}")

    def picture(self, image_id: str, channels: int) -> Image.Image:
        """The image of an id with 1 or 3 channels. Raises :exc:`DataError` where it is none."""
        name = f"{self._root}JPEGImages/{image_id}.jpg"
        return decode(self._tree.read(name), f"{self.place}/{name}", channels)

    def class_names(self) -> tuple[str, ...]:
        """VOC's twenty classes, or, where others occur, the sorted names that occur."""
        found = {
            name
            for split in ("train", "test")
            for image_id in self.ids(split)
            for name, _, _ in self.objects(image_id)
        }
        return CLASS_NAMES if found <= set(CLASS_NAMES) else tuple(sorted(found))


def read_annotation(raw: bytes, where: str) -> list[Annotation]:
    """Objects of one annotation file: list of ``(name, (x0, y0, x1, y1), difficult)``.

    VOC counts pixels from 1, both ends included; edges here count from 0.

    Raises :exc:`DataError` for what is not such XML. Document types are refused: annotations need
    none, and through them a small file can define text of any size.
    """
    try:
        text = raw.decode("utf-8")
        if "<!DOCTYPE" in text.upper():
            raise DataError(
                f"{where}: must not have a document type; one came; remove the line "
                "that begins with <!DOCTYPE"
            )
        return [_read_object(node) for node in ElementTree.fromstring(text).iter("object")]
    except (
        UnicodeDecodeError,
        ElementTree.ParseError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{where}: must be an annotation with name and bndbox for every object; "
            f"reading it gave {error}; get the file again"
        ) from error


def _read_object(node: ElementTree.Element) -> Annotation:
    x0, y0, x1, y1 = (
        float(_text(node, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
    )
    if not np.isfinite([x0, y0, x1, y1]).all():
        raise ValueError(f"box {x0}, {y0}, {x1}, {y1}")
    return (
        _text(node, "name").strip(),
        (x0 - 1, y0 - 1, x1, y1),
        node.findtext("difficult", "0").strip() == "1",
    )


def _text(node: ElementTree.Element, path: str) -> str:
    text = node.findtext(path)
    if not text:
        raise ValueError(f"no text in {path}")
    return text


def load_voc(
    place: Path, input_shape: Shape, n_train: int | None = None, n_test: int | None = None
) -> BoxDataset:
    """A VOC tree as a :class:`BoxDataset`, its pictures letterboxed to ``input_shape`` (C, H, W).

    n_train, n_test : int or None
        Only the first images of a split.
    """
    tree = VocTree(place)
    class_names = tree.class_names()
    train_images, train_objects = _load_split(tree, "train", n_train, input_shape, class_names)
    test_images, test_objects = _load_split(tree, "test", n_test, input_shape, class_names)
    return BoxDataset(
        "voc",
        train_images,
        train_objects,
        test_images,
        test_objects,
        class_names,
        f"VOC layout, {tree.splits['train']} and {tree.splits['test']} lists of {tree.place.name}",
    )


def _load_split(
    tree: VocTree,
    split: str,
    n_wanted: int | None,
    input_shape: Shape,
    class_names: tuple[str, ...],
) -> tuple[Bytes, Objects]:
    ids = tree.ids(split)[:n_wanted]
    images = np.empty((len(ids), *input_shape), np.uint8)
    lists = []
    for i, image_id in enumerate(ids):
        picture = tree.picture(image_id, input_shape[0])
        images[i], ratio, left, top = letterbox(picture, *input_shape[1:])
        lists.append(
            [
                (box, class_names.index(name), difficult)
                for name, box, difficult in _fitted(
                    tree.objects(image_id), ratio, left, top, picture
                )
            ]
        )
    return images, pack_objects(lists)


def _fitted(
    objects: Iterable[Annotation],
    ratio: tuple[float, float],
    left: int,
    top: int,
    picture: Image.Image,
) -> Iterator[tuple[str, Floats, bool]]:
    """Objects with their boxes clipped to the picture and moved onto the canvas."""
    limits = np.array([picture.width, picture.height] * 2)
    for name, box, difficult in objects:
        edges = np.clip(box, 0, limits) * np.tile(ratio, 2) + (left, top, left, top)
        if (edges[2:] - edges[:2] >= SMALLEST).all():
            yield name, edges, difficult


def find_voc(folder: Path) -> Path | None:
    """The folder or archive of a VOC set in or at ``folder``, or None."""
    if folder.is_file():
        return folder
    for place in (
        folder,
        folder / "VOCdevkit" / "VOC2007",
        folder / "VOCdevkit",
        folder / "VOC2007",
    ):
        if (place / LISTS).is_dir():
            return place
    return next(
        (path for path in sorted(folder.glob("*.tar")) if path.name.lower().startswith("voc")), None
    )
