# SPDX-License-Identifier: Apache-2.0
"""Classification sets in the layout of ImageNet: ``train/<class>/<image>``, ``val/<class>/..``.

Read from a folder, or from a tar archive without unpacking it. The classes are the sorted names of
the folders below ``train``.
"""

from pathlib import Path

import numpy as np

from ..arrays import Bytes, Labels, Shape
from ..errors import DataError
from .dataset import Dataset
from .files import is_archive, open_tree
from .image_files import decode, fill

SUFFIXES = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "val")
# Classes are mixed with a fixed seed, so that the first images of a split are a fair sample.
SHUFFLE_SEED = 2024


class ImageTree:
    """A tree in ImageNet layout: ``splits[name]`` lists ``(file, class index)``, shuffled.

    Raises :exc:`DataError` when a split or its classes are missing.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._tree = open_tree(place)
        paths = [name.split("/") for name in self._tree.names() if name.lower().endswith(SUFFIXES)]
        found = [path for path in paths if len(path) >= 3 and path[-3] in SPLITS]
        self.class_names = tuple(sorted({path[-2] for path in found if path[-3] == "train"}))
        extra = sorted({path[-2] for path in found} - set(self.class_names))
        if not self.class_names or extra:
            raise DataError(
                f"{place}: must hold train/<class>/ and val/<class>/ of the same "
                f"classes; {len(self.class_names)} training classes and "
                f"{extra[0] if extra else 'none'} in val alone came; name the folder "
                "above train"
            )
        index = {name: i for i, name in enumerate(self.class_names)}
        self.splits = {}
        for split in SPLITS:
            files = [("/".join(path), index[path[-2]]) for path in found if path[-3] == split]
            order = np.random.Generator(np.random.PCG64(SHUFFLE_SEED)).permutation(len(files))
            self.splits[split] = [files[i] for i in order]

    def load(self, split: str, input_shape: Shape, n_wanted: int | None) -> tuple[Bytes, Labels]:
        """``(uint8 (N, C, H, W), int64 (N,))`` of the first ``n_wanted`` images of a split."""
        files = self.splits[split][:n_wanted]
        images = np.empty((len(files), *input_shape), np.uint8)
        for i, (name, _) in enumerate(files):
            where = f"{self.place}/{name}"
            images[i] = fill(decode(self._tree.read(name), where, input_shape[0]), *input_shape[1:])
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
        f"{place.name}: {n_files['train']} training and {n_files['val']} validation "
        f"images of {len(tree.class_names)} classes",
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
