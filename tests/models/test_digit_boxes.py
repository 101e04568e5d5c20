# SPDX-License-Identifier: Apache-2.0
"""Digits on canvases: repeatable, with boxes that hold the ink; and what a BoxDataset refuses."""

import numpy as np
import pytest

from stemcore.models.data import load_dataset
from stemcore.models.data.boxes import BoxDataset, pack_objects
from stemcore.models.data.digit_boxes import MOST_OVERLAP, draw_canvas
from stemcore.models.detection import intersection_over_union
from stemcore.models.errors import DataError

SHAPE = (3, 64, 64)


def test_canvases_are_the_same_on_every_call_and_for_every_count():
    few = load_dataset("digit_boxes", SHAPE, n_train=3, n_test=2)
    more = load_dataset("digit_boxes", SHAPE, n_train=5, n_test=0)
    np.testing.assert_array_equal(few.train_images, more.train_images[:3])
    assert not np.array_equal(few.train_images[:2], few.test_images)
    assert few.class_names == tuple("0123456789")


@pytest.mark.medium
def test_boxes_lie_within_and_apart():
    objects = load_dataset("digit_boxes", SHAPE, n_train=60, n_test=0).train_objects
    counts = (objects.classes >= 0).sum(1)
    assert counts.min() >= 1
    assert counts.max() == 4
    assert set(objects.classes[objects.classes >= 0].tolist()) == set(range(10))
    for boxes, n in zip(objects.boxes, counts, strict=True):
        for i in range(n):
            others = np.delete(boxes[:n], i, axis=0)
            assert (intersection_over_union(boxes[i], others) <= MOST_OVERLAP).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_box_holds_the_digit(rng, channels):
    """On an almost flat canvas the only strong edges are the digit's, and in its box."""
    ink = np.zeros((1, 1, 8, 8), np.uint8)
    ink[..., 1:7, 3:5] = 255
    for _ in range(20):
        image, objects = draw_canvas(rng, (channels, 64, 64), ink, np.array([7]))
        assert {label for _, label, _ in objects} == {7}
        inside = np.zeros((64, 64), bool)
        for (x0, y0, x1, y1), _, _ in objects:
            # Ink fades beyond the box over at most a cell of the digit's eight.
            margin = (y1 - y0) / 6
            inside[
                max(int(y0 - margin), 0) : int(y1 + margin) + 1,
                max(int(x0 - margin), 0) : int(x1 + margin) + 1,
            ] = True
        values = image.astype(float)
        steps = np.abs(values[:, :, 8:] - values[:, :, :-8]).max(0)
        strong = np.argwhere(steps > 85)
        assert len(strong) > 0
        assert all(inside[y, x] or inside[y, x + 8] for y, x in strong)


@pytest.mark.parametrize("shape", [(2, 64, 64), (3, 31, 64)])
def test_canvases_of_other_shapes_are_refused(shape):
    with pytest.raises(
        DataError,
        match=r"^digit_boxes: canvases have 1 or 3 channels and 32 pixels"
        r" or more a side; a model with the input .* came; choose",
    ):
        load_dataset("digit_boxes", shape)


def build(**changes):
    objects = pack_objects([[((0, 1, 4, 8), 1, False)], []])
    fields = {
        "name": "toy",
        "train_images": np.zeros((2, 3, 8, 8), np.uint8),
        "train_objects": objects,
        "test_images": np.zeros((2, 3, 8, 8), np.uint8),
        "test_objects": objects,
        "class_names": ("a", "b"),
        "provenance": "none",
    }
    return BoxDataset(**(fields | changes))


def test_box_dataset_tells_shape_and_classes():
    assert build().image_shape == (3, 8, 8)
    assert build().n_classes == 2
    assert len(build().test_objects[1:]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((2, 3, 8, 8))}, r"^toy train: images must be uint8 .*; float64"),
        (
            {"test_images": np.zeros((1, 3, 8, 8), np.uint8)},
            r"^toy test: every image needs its row of objects; 1 images and 2 rows came",
        ),
        ({"class_names": ("a",)}, r"^toy train: classes must lie in 0\.\.0; 1\.\.1 came; check"),
        (
            {"test_objects": pack_objects([[((0, 0, 9, 4), 0, False)], []])},
            r"^toy test: boxes must have an area and lie within the image; other boxes came",
        ),
        (
            {"test_objects": pack_objects([[((4, 4, 4, 6), 0, False)], []])},
            r"^toy test: boxes must have an area",
        ),
    ],
)
def test_box_dataset_refuses_what_does_not_fit(changes, message):
    with pytest.raises(DataError, match=message):
        build(**changes)
