# SPDX-License-Identifier: Apache-2.0
"""Training images made as hard as images that a network has not seen.

A trained network answers nearly all of its training images, with a large margin: what spoils it
hardly shows there. Rotated, scaled, moved and relit copies, of a strength at which it fails on one
image in ten, have margins like those of new images. No test image is needed to make them.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

TARGET = 0.9  # share of harder images that the network still gets right
MAX_STRENGTH = 4.0
_STEPS = 6


def harder_images(images: NDArray[np.uint8], strength: float, seed: int) -> NDArray[np.uint8]:
    """Copies of ``images`` (N, C, H, W), each changed at random; the same seed, the same copies.

    At strength 1: rotation within 20 degrees, scale within a factor of 1.35, shift within a tenth
    of the size, contrast within a factor of 1.5, brightness within 30 of 255. Bilinear, the border
    reflected. Nothing is mirrored: that would change what a digit means.
    """
    rng = np.random.default_rng(seed)
    n = len(images)

    def within(width: float) -> NDArray[np.float64]:
        return rng.uniform(-width, width, n) * strength

    angle, scale = np.deg2rad(within(20)), np.exp(within(0.3))
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    rows = [np.stack([cosine, -sine, within(0.2)], 1), np.stack([sine, cosine, within(0.2)], 1)]
    matrix = torch.from_numpy(np.stack(rows, 1)).float()
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(
        torch.from_numpy(images).float(), grid, padding_mode="reflection", align_corners=False
    ).numpy()
    contrast, brightness = np.exp(within(0.4)), within(30.0)
    relit = (moved - 128) * contrast[:, None, None, None] + brightness[:, None, None, None] + 128
    return np.clip(np.rint(relit), 0, 255).astype(np.uint8)


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
