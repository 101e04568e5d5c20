# SPDX-License-Identifier: Apache-2.0
"""A detection set that needs no download: scikit-learn's digits on made canvases, with boxes.

Every canvas follows from the seed, its split and its number alone. Digits of the training split of
:mod:`stemcore.models.data.digits` are on training canvases, those of the test split on test
canvases.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bytes, Floats, Labels, Shape
from ..errors import DataError
from .boxes import BoxDataset, Entry, Objects, pack_objects
from .dataset import resize_bilinear
from .digits import load_digits

N_TRAIN, N_TEST = 4000, 400
SEED = 2024
MOST_DIGITS = 4
# Side of a digit's square, as shares of the canvas's shorter side.
SMALLEST, LARGEST = 0.2, 0.5
# A place is tried again when its box covers more of another digit's than this.
MOST_OVERLAP = 0.05
TRIES = 20
# Ink that counts as part of the digit, of 255.
INK = 64
CONTRAST = 90
NOISE = 8


def load_digit_boxes(
    input_shape: Shape, n_train: int | None = None, n_test: int | None = None
) -> BoxDataset:
    """The set as a :class:`BoxDataset` of canvases of ``input_shape`` (C, H, W), C 1 or 3.

    n_train, n_test : int or None
        Only the first canvases of a split; the others are not made.
    """
    channels, height, width = input_shape
    if channels not in (1, 3) or min(height, width) < 32:
        raise DataError(
            "digit_boxes: canvases have 1 or 3 channels and 32 pixels or more a side; "
            f"a model with the input {tuple(input_shape)} came; choose another model"
        )
    digits = load_digits()
    train = _draw_all(
        0, _count(n_train, N_TRAIN), input_shape, digits.train_images, digits.train_labels
    )
    test = _draw_all(1, _count(n_test, N_TEST), input_shape, digits.test_images, digits.test_labels)
    return BoxDataset(
        "digit_boxes",
        *train,
        *test,
        digits.class_names,
        f"digits of scikit-learn on made canvases, {N_TRAIN} for training and {N_TEST} for tests",
    )


def _count(wanted: int | None, available: int) -> int:
    return available if wanted is None else min(wanted, available)


def _draw_all(
    split: int, n: int, input_shape: Shape, digits: Bytes, labels: Labels
) -> tuple[Bytes, Objects]:
    images = np.empty((n, *input_shape), np.uint8)
    lists = []
    for i in range(n):
        rng = np.random.Generator(np.random.PCG64([SEED, split, i]))
        images[i], objects = draw_canvas(rng, input_shape, digits, labels)
        lists.append(objects)
    return images, pack_objects(lists)


def draw_canvas(
    rng: np.random.Generator, input_shape: Shape, digits: Bytes, labels: Labels
) -> tuple[Bytes, list[Entry]]:
    """One canvas: ``(uint8 (C, H, W), list of (box, label, False))``.

    digits : uint8 (N, 1, 8, 8); labels : int64 (N,)
    """
    channels, height, width = input_shape
    canvas = _background(rng, input_shape)
    objects: list[Entry] = []
    for _ in range(rng.integers(1, MOST_DIGITS + 1)):
        chosen = rng.integers(len(digits))
        placed = _place(rng, digits[chosen], (height, width), [box for box, _, _ in objects])
        if placed is None:
            continue
        ink, top, left, box = placed
        rows, columns = slice(top, top + len(ink)), slice(left, left + len(ink))
        under = canvas[:, rows, columns]
        colour = _colour(rng, under.mean((1, 2)))
        under += (colour[:, None, None] - under) * (ink / 255.0)
        objects.append((box, int(labels[chosen]), False))
    canvas += rng.normal(0, NOISE, canvas.shape)
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8), objects


def _background(rng: np.random.Generator, input_shape: Shape) -> Floats:
    """A plane of colour that leans to one side, float64 (C, H, W)."""
    channels, height, width = input_shape
    y = np.linspace(-1, 1, height)[None, :, None]
    x = np.linspace(-1, 1, width)[None, None, :]
    level, slope_y, slope_x = rng.uniform(30, 225, channels), *rng.normal(0, 20, (2, channels))
    return level[:, None, None] + slope_y[:, None, None] * y + slope_x[:, None, None] * x


def _colour(rng: np.random.Generator, under: Floats) -> Floats:
    """A colour that stands out: every channel moves away from ``under`` to the same side."""
    up = under.mean() < 128
    distance = rng.uniform(CONTRAST, 255, len(under))
    colour: Floats = np.clip(under + distance if up else under - distance, 0, 255)
    return colour


def _place(
    rng: np.random.Generator,
    digit: Bytes,
    size: tuple[int, int],
    taken: Sequence[NDArray[np.floating[Any]]],
) -> tuple[Floats, int, int, NDArray[np.float32]] | None:
    """``(ink (K, K), top, left, box)`` of a digit in a free place, or None when there is none."""
    for _ in range(TRIES):
        side = int(rng.uniform(SMALLEST, LARGEST) * min(size))
        ink = resize_bilinear(digit[None], side, side)[0, 0].astype(np.float64)
        top, left = (int(rng.integers(0, length - side + 1)) for length in size)
        rows, columns = (np.flatnonzero((ink >= INK).any(axis)) for axis in (1, 0))
        box = np.array(
            [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1],
            np.float32,
        )
        if all(_overlap(box, other) <= MOST_OVERLAP for other in taken):
            return ink, top, left, box
    return None


def _overlap(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Intersection over union of two boxes."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = sides.prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))
