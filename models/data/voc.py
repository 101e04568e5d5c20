# SPDX-License-Identifier: Apache-2.0
"""Detection sets in the layout of PASCAL VOC, from a folder or a tar archive.

``Annotations/<id>.xml``, ``JPEGImages/<id>.jpg`` (or another kind of picture) and
``ImageSets/Main/{train,val,test}.txt``, lists of ids, one a line; at the top, or below
``VOCdevkit/VOC2007`` or another single place. Training images are those of ``trainval`` or
``train``; tests use ``test``, else ``val``. Where ``test`` is missing, ``trainval`` would hold the
test images, and ``train`` is taken.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.parsers import expat

import numpy as np
from PIL import Image

from ..arrays import Bytes, Floats, Shape
from ..errors import DataError
from .boxes import BoxDataset, Objects, pack_objects
from .files import open_tree, shown
from .image_files import Notes, decode, in_words, is_picture, letterbox

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
LISTS, PICTURES, ANNOTATIONS = "ImageSets/Main/", "JPEGImages/", "Annotations/"
MARK = re.compile(r"\s+-?[01]$")  # in the list of one class: whether an image shows it
SWAPPED = "boxes with exchanged corners put right"
# A smaller box, in pixels of the network's input, is nothing to learn from.
SMALLEST = 1.0


class VocTree:
    """A tree in VOC layout: its split lists and annotations.

    ``notes`` counts what was left out or changed.

    Raises :exc:`DataError` when the place has no ``ImageSets/Main`` or more than one.
    """

    def __init__(self, place: Path) -> None:
        self.place, self._where = place, shown(place)
        self.notes: Notes = Counter()
        self._tree = open_tree(place)
        names = self._tree.names()
        roots = {
            name.partition(LISTS)[0] for name in names if LISTS in name and name.endswith(".txt")
        }
        if len(roots) != 1:
            raise DataError(
                f"{self._where}: must hold one folder ImageSets/Main with lists of images; "
                f"{len(roots)} came; name the folder of one year, such as "
                "VOCdevkit/VOC2007"
            )
        self._root = roots.pop()
        self._pictures = {
            name.removeprefix(self._root + PICTURES).rpartition(".")[0]: name
            for name in reversed(names)
            if name.startswith(self._root + PICTURES) and is_picture(name)
        }
        # Of two that differ in the suffix's case, the one in small letters.
        self._annotations = {
            name.removeprefix(self._root + ANNOTATIONS)[:-4]: name
            for name in sorted(names, key=lambda name: name.endswith(".xml"))
            if name.startswith(self._root + ANNOTATIONS) and name.lower().endswith(".xml")
        }
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
        """Image ids of ``train`` or ``test``, in the order of the list.

        A line is an id, which may have blanks, or an id and a mark, as in the lists of one class.
        Raises :exc:`DataError` for a list without any.
        """
        name = f"{self._root}{LISTS}{self.splits[split]}.txt"
        text = self._tree.read(name).decode("utf-8-sig", "surrogateescape")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise DataError(
                f"{self._where}/{shown(name)}: must list images, one id a line; it is empty; write "
                "ids into it"
            )
        return [line if line in self._annotations else MARK.sub("", line) for line in lines]

    def objects(self, image_id: str) -> list[Annotation]:
        """List of ``(class name, box, difficult)``, box in pixel edges of the file's image."""
        return self._annotation(image_id, self.notes)

    def _annotation(self, image_id: str, notes: Notes | None) -> list[Annotation]:
        name = self._annotations.get(image_id, f"{self._root}{ANNOTATIONS}{image_id}.xml")
        return read_annotation(self._tree.read(name), f"{self._where}/{shown(name)}", notes)

    def picture(self, image_id: str, channels: int) -> Image.Image:
        """The image of an id with 1 or 3 channels. Raises :exc:`DataError` where it is none."""
        name = self._pictures.get(image_id, f"{self._root}{PICTURES}{image_id}.jpg")
        where = f"{self._where}/{shown(name)}"
        return decode(self._tree.read(name), where, channels, self.notes)

    def class_names(self) -> tuple[str, ...]:
        """VOC's twenty classes, or, where others occur, the sorted names that occur."""
        found = {
            name
            for split in ("train", "test")
            for image_id in self.ids(split)
            for name, _, _ in self._annotation(image_id, None)  # counted when they are used
        }
        return CLASS_NAMES if found <= set(CLASS_NAMES) else tuple(sorted(found))


def read_annotation(raw: bytes, where: str, notes: Notes | None = None) -> list[Annotation]:
    """Objects of one annotation file: list of ``(name, (x0, y0, x1, y1), difficult)``.

    VOC counts pixels from 1, both ends included; edges here count from 0. The encoding is the one
    that the file declares, else UTF-8. Corners that are exchanged are put right, and counted in
    ``notes``.

    Raises :exc:`DataError` for what is not such XML. Document types are refused: annotations need
    none, and through them a small file can define text of any size.
    """
    try:
        _refuse_document_type(raw, where)
        counts: Notes = Counter() if notes is None else notes
        return [_read_object(node, counts) for node in ElementTree.fromstring(raw).iter("object")]
    except (
        LookupError,
        expat.ExpatError,
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


def _refuse_document_type(raw: bytes, where: str) -> None:
    """Whatever the encoding is, the parser sees it."""

    def refuse(*_: object) -> None:
        raise DataError(
            f"{where}: must not have a document type; one came; remove the line "
            "that begins with <!DOCTYPE"
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(raw, True)


def _read_object(node: ElementTree.Element, notes: Notes) -> Annotation:
    x0, y0, x1, y1 = (
        float(_text(node, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
    )
    if not np.isfinite([x0, y0, x1, y1]).all():
        raise ValueError(f"box {x0}, {y0}, {x1}, {y1}")
    if x0 > x1 or y0 > y1:
        notes[SWAPPED] += 1
    (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
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
        f"VOC layout, {tree.splits['train']} and {tree.splits['test']} lists of "
        f"{shown(tree.place.name)}",
        in_words(tree.notes),
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
                    tree.objects(image_id), ratio, left, top, picture, tree.notes
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
    notes: Notes,
) -> Iterator[tuple[str, Floats, bool]]:
    """Objects with their boxes clipped to the picture and moved onto the canvas."""
    limits = np.array([picture.width, picture.height] * 2)
    for name, box, difficult in objects:
        edges = np.clip(box, 0, limits) * np.tile(ratio, 2) + (left, top, left, top)
        if (edges[2:] - edges[:2] >= SMALLEST).all():
            yield name, edges, difficult
        else:
            notes["objects left out: outside the picture, or below a pixel of the input"] += 1


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
