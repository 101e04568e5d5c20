# SPDX-License-Identifier: Apache-2.0
"""Figures of outputs, and pictures of detections."""

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import load_dataset
from stemcore.models.detection import SHOWN_THRESHOLD, Detections
from stemcore.models.yolo import n_outputs
from stemcore.runtime.report.accuracy import measure, metric_of
from stemcore.runtime.report.detections import draw, write_pictures

SIZE = 64


@pytest.fixture(scope="module")
def boxes():
    return load_dataset("digit_boxes", (3, SIZE, SIZE), n_train=0, n_test=6)


def perfect_outputs(dataset, confidence=1.0):
    """Outputs of a detector with 8 x 8 cells that answers with the truth."""
    objects = dataset.test_objects
    outputs = np.zeros((len(objects), n_outputs(10), 8, 8))
    for i, j in np.argwhere(objects.classes >= 0):
        box, label = objects.boxes[i, j], objects.classes[i, j]
        centre, size = (box[:2] + box[2:]) / 16, (box[2:] - box[:2]) / SIZE
        x, y = centre.astype(int)
        outputs[i, :5, y, x] = *(centre - (x, y)), *np.sqrt(size), confidence
        outputs[i, 10 + label, y, x] = 1
    return outputs


def test_map_of_the_truth_is_one_and_scale_does_matter(boxes):
    assert metric_of(boxes) == "mAP@0.5"
    outputs = perfect_outputs(boxes)
    assert measure(boxes, outputs) == pytest.approx(1)
    assert measure(boxes, outputs[:2]) == pytest.approx(1)
    assert measure(boxes, outputs / 2) < 0.5
    assert measure(boxes, np.zeros_like(outputs)) == 0


def test_accuracy_counts_the_largest_output():
    digits = load_dataset("digits", n_train=0, n_test=50)
    assert metric_of(digits) == "accuracy"
    outputs = np.eye(10)[digits.test_labels].reshape(50, 10, 1, 1)
    assert measure(digits, 3 * outputs) == 1
    outputs[:5] = 0
    # Of equals the first counts, the digit 0.
    assert measure(digits, outputs) == 1 - (digits.test_labels[:5] != 0).mean() / 10


@pytest.mark.medium
def test_pictures_are_written_and_old_ones_removed(boxes, tmp_path):
    outputs = perfect_outputs(boxes)
    write_pictures(boxes, outputs, tmp_path / "detections")
    rows = write_pictures(boxes, outputs[:2], tmp_path / "detections")
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["000.png", "001.png"]
    for i, row in enumerate(rows):
        with Image.open(tmp_path / row["picture"]) as picture:
            assert picture.size == (448, 448)
        names = [boxes.class_names[k] for k in boxes.test_objects.classes[i] if k >= 0]
        assert sorted(one["class"] for one in row["objects"]) == sorted(names)
        assert all(one["score"] == 1 for one in row["objects"])
    weak = perfect_outputs(boxes, confidence=SHOWN_THRESHOLD * 0.9)
    assert all(not row["objects"] for row in write_pictures(boxes, weak, tmp_path / "weak"))


@pytest.mark.parametrize("channels", [1, 3])
def test_boxes_are_drawn_where_they_are(channels):
    image = np.zeros((channels, 112, 112), np.uint8)
    found = Detections(np.array([[20, 50, 60, 90.0]]), np.array([0.5]), np.array([0]))
    pixels = np.asarray(draw(image, found, ("a", "b")))
    assert pixels.shape == (448, 448, 3)
    # Red of class 0 along all four edges, four times enlarged, and nothing in the middle.
    for y, x in ((200, 160), (359, 160), (280, 80), (280, 239)):
        assert pixels[y, x].tolist() == [255, 63, 63], (y, x)
    assert not pixels[210:350, 90:230].any()
