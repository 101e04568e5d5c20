# SPDX-License-Identifier: Apache-2.0
"""A segmentation set that needs no download: discs, squares and triangles on uneven ground.

Every image follows from the seed, its split and its number alone.
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bytes, Floats, Shape
from ..errors import DataError
from .masks import MaskDataset

N_TRAIN, N_TEST = 2000, 400
SEED = 2025
CLASS_NAMES = ("ground", "disc", "square", "triangle")
MOST_SHAPES = 3
# Radius, as a share of the image's shorter side: of the circle that a shape has its corners on.
SMALLEST, LARGEST = 0.18, 0.34
CONTRAST = 35
NOISE = 12
SMALLEST_SIDE = 16


def load_shapes(
    input_shape: Shape, n_train: int | None = None, n_test: int | None = None
) -> MaskDataset:
    """The set as a :class:`MaskDataset` of images of ``input_shape`` (C, H, W), C 1 or 3.

    n_train, n_test : int or None
        Only the first images of a split; the others are not made.
    """
    channels, height, width = input_shape
    if channels not in (1, 3) or min(height, width) < SMALLEST_SIDE:
        raise DataError(
            f"shapes: images have 1 or 3 channels and {SMALLEST_SIDE} pixels or more a side; "
            f"a model with the input {tuple(input_shape)} came; choose another model"
        )
    train = _draw_all(0, N_TRAIN if n_train is None else min(n_train, N_TRAIN), input_shape)
    test = _draw_all(1, N_TEST if n_test is None else min(n_test, N_TEST), input_shape)
    made = f"made shapes, {N_TRAIN} images for training and {N_TEST} for tests"
    return MaskDataset("shapes", *train, *test, CLASS_NAMES, made)


def _draw_all(split: int, n: int, input_shape: Shape) -> tuple[Bytes, Bytes]:
    images = np.empty((n, *input_shape), np.uint8)
    masks = np.empty((n, *input_shape[1:]), np.uint8)
    for i in range(n):
        rng = np.random.Generator(np.random.PCG64([SEED, split, i]))
        images[i], masks[i] = draw_image(rng, input_shape)
    return images, masks


def draw_image(rng: np.random.Generator, input_shape: Shape) -> tuple[Bytes, Bytes]:
    """One image and its mask: uint8 (C, H, W) and (H, W). Later shapes hide earlier ones."""
    channels, height, width = input_shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    slopes = rng.normal(0, 15, (2, channels, 1, 1))
    level = rng.uniform(60, 195, (channels, 1, 1))
    image = level + slopes[0] * (2 * y / height - 1) + slopes[1] * (2 * x / width - 1)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, MOST_SHAPES + 1)):
        label = int(rng.integers(1, len(CLASS_NAMES)))
        radius = rng.uniform(SMALLEST, LARGEST) * min(height, width)
        dy, dx = y - rng.uniform(0, height), x - rng.uniform(0, width)
        inside = _inside(label, dy, dx, radius, rng.uniform(0, 2 * np.pi))
        step = rng.uniform(CONTRAST, 100) * rng.choice([-1, 1])
        image[:, inside] = (level[:, 0] + step + rng.normal(0, 5, (channels, 1)))[:, :1]
        mask[inside] = label
    image += rng.normal(0, NOISE, image.shape)
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8), mask


def _inside(label: int, dy: Floats, dx: Floats, radius: float, angle: float) -> NDArray[np.bool_]:
    """Pixels of a shape around the origin of ``dy``, ``dx``, turned by ``angle``."""
    if CLASS_NAMES[label] == "disc":
        return dy**2 + dx**2 <= radius**2
    n_sides = 4 if CLASS_NAMES[label] == "square" else 3
    normals = angle + 2 * np.pi * np.arange(n_sides) / n_sides
    # The sides' distance from the centre of a polygon whose corners are at the radius.
    distance = radius * np.cos(np.pi / n_sides)
    sides = [dy * np.sin(n) + dx * np.cos(n) <= distance for n in normals]
    inside: NDArray[np.bool_] = np.logical_and.reduce(sides)
    return inside
