# SPDX-License-Identifier: Apache-2.0
"""The data set of a run whose network has several inputs: an array of a file for each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.input_map import UNSTATED, InputMap, range_map
from stemcore.compiler.input_parts import InputPart, pack, with_one_sign
from stemcore.models.data import ARRAYS, Dataset
from stemcore.models.data.array_file import load_inputs
from stemcore.models.errors import DataError

from .settings import Settings
from .several_inputs import meanings


def _of_data(dataset: Dataset, unstated: InputMap) -> InputMap:
    """The map for the range of floats; bytes, which have none, keep the one without a meaning."""
    if dataset.value_range is None:
        return unstated
    return range_map("range of the data", *dataset.value_range)


def load_parts(
    settings: Settings,
    said: str,
    parts: Sequence[InputPart],
    n_train: int | None,
    n_test: int | None,
) -> tuple[Dataset, tuple[InputMap, ...]]:
    """The data set of a run, as the float network sees it, in images of all inputs; and their maps.

    Of floats that nobody states a range of, theirs is taken.
    """
    if settings.dataset != ARRAYS or settings.data is None:
        raise DataError(
            f"{settings.data_shown}: a network with several inputs "
            f"({', '.join(part.name for part in parts)}) must have its data in a file .npz, with "
            "x_train.NAME and x_test.NAME for each; name one with DATASET=file.npz"
        )
    found = load_inputs(settings.data, {p.name: p.shape for p in parts}, n_train, n_test)
    stated = meanings(settings.input or None, said, parts)
    maps = with_one_sign(
        [
            _of_data(found[part.name], one) if one == UNSTATED else one
            for part, one in zip(parts, stated, strict=True)
        ]
    )
    first = found[parts[0].name]

    def packed(split: str) -> NDArray[np.float32]:
        images = [getattr(found[part.name], f"{split}_images") for part in parts]
        real = [one.real(array) for one, array in zip(maps, images, strict=True)]
        return pack(real, parts)

    notes = [note for part in parts for note in found[part.name].notes]
    dataset = replace(
        first,
        train_images=packed("train"),
        test_images=packed("test"),
        notes=tuple(dict.fromkeys(notes)),
    )
    return dataset, maps
