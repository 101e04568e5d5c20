# SPDX-License-Identifier: Apache-2.0
"""Classification sets in the layout of ImageNet: ``train/<class>/<image>``, ``val/<class>/..``.

Read from a folder, or from a tar archive without unpacking it. The classes are the sorted names of
the folders directly in ``train``; pictures may lie deeper, as in ``train/<class>/images/``. A
``classes.txt`` beside ``train`` with as many lines gives the classes names to show, in this order.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from ..arrays import Bytes, Labels, Shape
from ..errors import DataError
from .dataset import Dataset
from .files import is_archive, open_tree, shown
from .image_files import SUFFIXES, Notes, decode, fill, in_words, is_picture

SPLITS = ("train", "val")
CLASS_FILE = "classes.txt"
# Classes are mixed with a fixed seed, so that the first images of a split are a fair sample.
SHUFFLE_SEED = 2024


class ImageTree:
    """A tree in ImageNet layout: ``splits[name]`` lists ``(file, class index)``, shuffled.

    ``notes`` counts what was left out. Raises :exc:`DataError` when a split is missing, a class has
    no picture, or ``val`` has none at all or classes of its own.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.notes: Notes = Counter()
        self._tree = open_tree(place)
        self._where = shown(place)
        names = self._tree.names()
        self._top = self._find_top(names)
        found = {split: self._pictures(names, split) for split in SPLITS}
        folders = self._tree.folders(self._top + "train")
        self._check_classes(folders, found)
        index = {name: i for i, name in enumerate(folders)}
        self.class_names = self._shown_names(folders, names)
        self.splits = {}
        for split in SPLITS:
            files = [(name, index[folder]) for name, folder in found[split]]
            order = np.random.Generator(np.random.PCG64(SHUFFLE_SEED)).permutation(len(files))
            self.splits[split] = [files[i] for i in order]

    def _find_top(self, names: list[str]) -> str:
        """What stands before ``train/`` and ``val/``: nothing, or a folder of an archive."""
        if self._tree.folders("train"):
            return ""
        tops = sorted({name.partition("/train/")[0] + "/" for name in names if "/train/" in name})
        return tops[0] if tops else ""

    def _pictures(self, names: list[str], split: str) -> list[tuple[str, str]]:
        """``(file, class folder)`` of every picture of a split; other files are counted."""
        prefix = f"{self._top}{split}/"
        found = []
        for name in names:
            folder, _, rest = name.removeprefix(prefix).partition("/")
            if not name.startswith(prefix):
                continue
            if rest and is_picture(name):
                found.append((name, folder))
            elif rest:
                suffix = shown(Path(name).suffix) or "no suffix"
                self.notes[
                    f"files of {split} left out: no pictures by their suffix ({suffix})"
                ] += 1
            else:
                self.notes[f"files of {split} left out: beside the folders of the classes"] += 1
        return found

    def _check_classes(self, folders: list[str], found: dict[str, list[tuple[str, str]]]) -> None:
        extra = sorted({folder for _, folder in found["val"]} - set(folders))
        if not folders or extra:
            raise DataError(
                f"{self._where}: must hold train/<class>/ and val/<class>/ of the same "
                f"classes; {len(folders)} training classes and "
                f"{shown(extra[0]) if extra else 'none'} in val alone came; name the folder "
                "above train"
            )
        empty = sorted(set(folders) - {folder for _, folder in found["train"]})
        if empty:
            raise DataError(
                f"{self._where}: every class must have pictures ({', '.join(SUFFIXES)}) in train; "
                f"{', '.join(map(shown, empty[:3]))} has none; convert its files, or take the "
                "folder out"
            )
        if not found["val"]:
            raise DataError(
                f"{self._where}: val must hold pictures to test with; it has none; move some of "
                "train there"
            )
        missing = len(set(folders) - {folder for _, folder in found["val"]})
        if missing:
            self.notes["classes without a picture in val"] += missing

    def _shown_names(self, folders: list[str], names: list[str]) -> tuple[str, ...]:
        """Names of the classes: lines of ``classes.txt``, else the folders'."""
        if self._top + CLASS_FILE not in names:
            return tuple(map(shown, folders))
        text = self._tree.read(self._top + CLASS_FILE).decode("utf-8-sig", "backslashreplace")
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        if len(lines) != len(folders):
            raise DataError(
                f"{self._where}/{CLASS_FILE}: must have a line for each of {len(folders)} folders "
                f"in train, in the order of their names; {len(lines)} lines came; correct the "
                "file, or take it out"
            )
        return lines

    def load(self, split: str, input_shape: Shape, n_wanted: int | None) -> tuple[Bytes, Labels]:
        """``(uint8 (N, C, H, W), int64 (N,))`` of the first ``n_wanted`` images of a split."""
        files = self.splits[split][:n_wanted]
        images = np.empty((len(files), *input_shape), np.uint8)
        for i, (name, _) in enumerate(files):
            where = f"{self._where}/{shown(name)}"
            picture = decode(self._tree.read(name), where, input_shape[0], self.notes)
            images[i] = fill(picture, *input_shape[1:], self.notes)
        return images, np.array([label for _, label in files], np.int64).reshape(len(files))


def load_imagenet(
    place: Path,
    input_shape: Shape,
    n_train: int | None = None,
    n_test: int | None = None,
    name: str = "imagenet",
) -> Dataset:
    """A tree as a :class:`Dataset`, its pictures cropped to ``input_shape`` (C, H, W).

    n_train, n_test : int or None
        Only that many images of a split; the others are not decoded.
    """
    tree = ImageTree(place)
    n_files = {split: len(files) for split, files in tree.splits.items()}
    return Dataset(
        name,
        *tree.load("train", input_shape, n_train),
        *tree.load("val", input_shape, n_test),
        tree.class_names,
        f"{shown(place.name)}: {n_files['train']} training and {n_files['val']} validation "
        f"images of {len(tree.class_names)} classes",
        in_words(tree.notes),
    )


def find_imagenet(folder: Path, name: str = "imagenet") -> Path | None:
    """The folder or archive of the set in or at ``folder``, or None.

    name : str
        How the names of subfolders and archives begin.
    """
    if folder.is_file():
        return folder if is_archive(folder) else None
    if all((folder / split).is_dir() for split in SPLITS):
        return folder
    if not folder.is_dir():
        return None
    # Such as imagenette, imagenette2-160 or imagenette_80.tar.
    named = [
        path
        for path in sorted(folder.iterdir())
        if path.name.startswith(name) and not path.name[len(name) :][:1].isalpha()
    ]
    for path in named:
        if all((path / split).is_dir() for split in SPLITS) or (
            path.is_file() and is_archive(path)
        ):
            return path
    return None
