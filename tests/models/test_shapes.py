# SPDX-License-Identifier: Apache-2.0
"""Made images with a class for each pixel, what a MaskDataset refuses, and how good masks are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stemcore.models.data import load_dataset
from stemcore.models.data.image_files import PADDING_BYTE
from stemcore.models.data.shapes import draw_image
from stemcore.models.errors import DataError
from stemcore.models.recipes import Recipe
from stemcore.models.segmentation import mean_iou, segment
from stemcore.models.tasks import Segmentation, task_of

SHAPE = (1, 32, 32)


@pytest.fixture(scope="module")
def shapes():
    return load_dataset("shapes", SHAPE, n_train=40, n_test=10)


def test_images_are_the_same_on_every_call_and_for_every_count(shapes):
    few = load_dataset("shapes", SHAPE, n_train=3, n_test=2)
    np.testing.assert_array_equal(few.train_images, shapes.train_images[:3])
    np.testing.assert_array_equal(few.test_masks, shapes.test_masks[:2])
    assert not np.array_equal(few.train_images[:2], few.test_images)
    assert load_dataset("shapes", SHAPE, n_train=0, n_test=0).train_images.shape == (0, *SHAPE)


def test_all_classes_occur_and_the_ground_is_most(shapes):
    counts = np.bincount(shapes.train_masks.ravel(), minlength=4)
    assert (counts > 0).all() and counts.argmax() == 0
    assert shapes.class_names == ("ground", "disc", "square", "triangle")


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_stand_out_from_what_is_around_them(channels, rng):
    for _ in range(10):
        image, mask = draw_image(rng, (channels, 64, 64))
        if not mask.any():
            continue
        # Two pixels on each side of an edge between classes.
        edges = np.argwhere((mask[:, 2:-2] > 0) & (mask[:, :-4] == 0) & (mask[:, 1:-3] == 0))
        steps = [abs(image[:, y, x + 2].astype(int) - image[:, y, x]).mean() for y, x in edges]
        assert not steps or np.median(steps) > 12


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 15, 32), (3, 32, 8)])
def test_images_of_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match=r"^shapes: images have 1 or 3 channels and 16 pixels"):
        load_dataset("shapes", shape)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_images": np.zeros((2, 1, 4, 4), np.float32)}, r"^toy test: images must be uint8 "),
        ({"test_masks": np.zeros((2, 4, 5), np.uint8)}, r"^toy test: masks must be uint8 \(2, 4, "),
        ({"train_masks": np.zeros((1, 4, 4), int)}, r"^toy train: masks must be uint8 .* int64"),
        ({"test_masks": np.full((2, 4, 4), 4, np.uint8)}, r"^toy test: classes .* 0\.\.3; 4 came"),
    ],
)
def test_masks_that_do_not_fit_are_refused(shapes, changes, message):
    toy = replace(
        shapes,
        name="toy",
        train_images=np.zeros((1, 1, 4, 4), np.uint8),
        train_masks=np.zeros((1, 4, 4), np.uint8),
        test_images=np.zeros((2, 1, 4, 4), np.uint8),
        test_masks=np.zeros((2, 4, 4), np.uint8),
    )
    with pytest.raises(DataError, match=message):
        replace(toy, **changes)


def test_intersection_over_union_is_that_of_its_definition(rng):
    found, masks = (rng.integers(0, 4, (3, 5, 6)) for _ in range(2))
    shares = []
    for label in range(4):
        both = ((found == label) & (masks == label)).sum()
        shares.append(both / ((found == label) | (masks == label)).sum())
    assert mean_iou(found, masks, 4) == pytest.approx(np.mean(shares))
    # A class that nobody has does not count.
    assert mean_iou(found, masks, 6) == pytest.approx(np.mean(shares))
    assert mean_iou(masks, masks, 4) == 1.0
    assert mean_iou(masks[:0], masks[:0], 4) == 0.0


def test_the_first_of_equal_scores_is_the_class():
    scores = np.zeros((1, 3, 2, 2))
    scores[0, 2, 1, 1] = 1
    np.testing.assert_array_equal(segment(scores), [[[0, 0], [0, 2]]])


def test_masks_move_with_their_images(shapes):
    """What is drawn has the mask as its image; both are moved and mirrored alike."""
    masks = shapes.train_masks
    twins = replace(shapes, train_images=masks[:, None].copy())
    recipe = Recipe(epochs=1, shift=3, flip=True)
    picked = torch.arange(20)
    images, targets = Segmentation().draw(twins, picked, recipe, torch.Generator().manual_seed(0))
    assert torch.equal(images[:, 0].long(), targets)
    assert not torch.equal(targets, torch.from_numpy(masks[:20]).long())
    assert (targets == PADDING_BYTE).any()


def test_pixels_from_beyond_the_image_do_not_count_in_the_loss(shapes):
    task = task_of(shapes)
    outputs = torch.zeros(1, 4, 2, 2)
    targets = torch.full((1, 2, 2), PADDING_BYTE)
    targets[0, 0, 0] = 1
    outputs[0, :, 1, 1] = torch.tensor([9.0, 0, 0, 0])
    loss = task.loss(outputs, targets, Recipe(epochs=1))
    assert loss.item() == pytest.approx(np.log(4))
