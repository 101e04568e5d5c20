# SPDX-License-Identifier: Apache-2.0
"""Training images made as hard as images that a network has not seen.

A trained network answers nearly all of its training images, with a large margin: what spoils it
hardly shows there. Copies into which a square of another image is pasted, so large that the network
fails on one in ten, have margins like those of new images, and everywhere the statistics of real
ones: rotated or blurred copies do not, and approve of tables that drop small activations. No test
image is needed to make them.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

TARGET = 0.9  # share of harder images that the network still gets right
MAX_STRENGTH = 0.5
_STEPS = 6


def augmented_images(images: NDArray[np.uint8], strength: float, seed: int) -> NDArray[np.uint8]:
    """Copies of ``images`` (N, C, H, W) with a piece of another of them at the same place.

    The piece has the image's proportions, the share ``strength`` of its area (whole pixels), and
    lies anywhere. The same seed, the same copies.
    """
    rng = np.random.default_rng(seed)
    n, _, height, width = images.shape
    rows, columns = (round(size * np.sqrt(strength)) for size in (height, width))
    top = rng.integers(0, height - rows + 1, n)
    left = rng.integers(0, width - columns + 1, n)
    others = np.roll(rng.permutation(n), 1)
    copies = images.copy()
    for copy, other, y, x in zip(copies, others, top, left, strict=True):
        piece = slice(None), slice(y, y + rows), slice(x, x + columns)
        copy[piece] = images[other][piece]
    return copies


def find_strength(accuracy: Callable[[float], float]) -> float:
    """The strength at which ``accuracy(strength)`` falls to TARGET, by bisection.

    0 where the network is not that good on unchanged images, MAX_STRENGTH where nothing helps.
    """
    low, high = 0.0, MAX_STRENGTH
    if accuracy(low) <= TARGET:
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if accuracy(middle) > TARGET else (low, middle)
    return (low + high) / 2
