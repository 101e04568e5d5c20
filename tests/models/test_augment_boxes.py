# SPDX-License-Identifier: Apache-2.0
"""Augmentation of images with boxes: the boxes stay on what they were around."""

import numpy as np
import pytest
import torch

from stemcore.models.augment import LEAST_VISIBLE, PADDING_BYTE, augment_boxes
from stemcore.models.recipes import Recipe


def bright_boxes(rng, n, size=64):
    """Dark images with one bright rectangle each, and its box."""
    images = np.zeros((n, 3, size, size), np.uint8)
    boxes = np.zeros((n, 2, 4), np.float32)
    for i in range(n):
        x0, y0 = rng.integers(8, 30, 2)
        x1, y1 = x0 + rng.integers(10, 24), y0 + rng.integers(10, 24)
        images[i, :, y0:y1, x0:x1] = 255
        boxes[i, 0] = x0, y0, x1, y1
    classes = np.tile([3, -1], (n, 1))
    return torch.from_numpy(images), torch.from_numpy(boxes), torch.from_numpy(classes)


@pytest.mark.parametrize(
    "settings",
    [{}, {"shift": 6}, {"zoom": 0.5}, {"flip": True}, {"shift": 9, "zoom": 0.3, "flip": True}],
)
def test_boxes_follow_the_pixels(rng, settings):
    images, boxes, classes = bright_boxes(rng, 40)
    recipe = Recipe(epochs=1, **settings)
    moved, edges, kept = augment_boxes(
        images, boxes, classes, recipe, torch.Generator().manual_seed(5)
    )
    assert moved.dtype == torch.uint8
    assert (kept[:, 1] == -1).all()
    for image, box in zip(moved.numpy(), edges[:, 0].numpy(), strict=True):
        rows = np.flatnonzero((image[0] > 191).any(1))
        columns = np.flatnonzero((image[0] > 191).any(0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(seen - box).max() <= 1.0


def test_without_settings_nothing_changes(rng):
    images, boxes, classes = bright_boxes(rng, 4)
    moved, edges, kept = augment_boxes(
        images, boxes, classes, Recipe(epochs=1), torch.Generator().manual_seed(1)
    )
    assert torch.equal(moved, images)
    assert torch.equal(kept, classes)
    assert torch.allclose(edges, boxes, atol=1e-4)


def test_objects_that_leave_are_dropped_and_padding_is_zero_input():
    images = torch.full((64, 1, 32, 32), 255, dtype=torch.uint8)
    boxes = torch.tensor([0.0, 0.0, 8.0, 8.0]).expand(64, 1, 4).clone()
    classes = torch.zeros(64, 1, dtype=torch.int64)
    moved, edges, kept = augment_boxes(
        images, boxes, classes, Recipe(epochs=1, shift=12), torch.Generator().manual_seed(2)
    )
    area = (edges[:, 0, 2:] - edges[:, 0, :2]).prod(1)
    assert torch.equal(kept[:, 0] == -1, area / 64 < LEAST_VISIBLE)
    assert 0 < int((kept == -1).sum()) < 64
    assert (edges >= 0).all()
    assert (edges <= 32).all()
    assert int((moved == PADDING_BYTE).sum()) > 0


def test_colours_change_levels_only_where_asked(rng):
    images, boxes, classes = bright_boxes(rng, 8)
    images = images // 2 + 50
    moved, edges, _ = augment_boxes(
        images, boxes, classes, Recipe(epochs=1, colour=0.3), torch.Generator().manual_seed(3)
    )
    assert torch.allclose(edges, boxes, atol=1e-4)
    # Two levels before, two levels after in each channel.
    assert all(len(channel.unique()) <= 2 for image in moved for channel in image)
    assert not torch.equal(moved, images)
