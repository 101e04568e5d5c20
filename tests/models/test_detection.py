# SPDX-License-Identifier: Apache-2.0
"""Decoding, suppression and mAP of detectors; their loss."""

import math

import numpy as np
import pytest
import torch

from stemcore.models.data.boxes import pack_objects
from stemcore.models.detection import (
    Detections,
    decode,
    detect,
    intersection_over_union,
    mean_average_precision,
    suppress,
)
from stemcore.models.detection_loss import COORDINATES, EMPTY, cell_targets, detection_loss
from stemcore.models.yolo import BOX_VALUES, N_BOXES, n_outputs

N_CLASSES = 3


def build_output(*answers, rows=4, columns=4):
    """Zeros but for ``(box, row, column, (x, y, root w, root h, confidence), class, value)``."""
    output = np.zeros((n_outputs(N_CLASSES), rows, columns))
    for box, row, column, values, label, value in answers:
        output[box * BOX_VALUES : (box + 1) * BOX_VALUES, row, column] = values
        output[BOX_VALUES * N_BOXES + label, row, column] = value
    return output


def test_decode_hand_computed():
    output = build_output((1, 2, 3, (0.5, 0.25, 0.5, math.sqrt(0.5), 0.8), 1, 0.5))
    found = decode(output, (80, 160), 0.01)
    # Cells are 40 wide and 20 high: the centre is (3.5 * 40, 2.25 * 20); 40 x 40 pixels.
    np.testing.assert_allclose(found.boxes, [[120, 25, 160, 65]])
    assert found.classes.tolist() == [1]
    assert found.scores == pytest.approx([0.4])


def test_decode_clips_drops_and_orders():
    output = build_output(
        (0, 0, 0, (0.0, 0.0, 1.0, 1.0, 2.0), 0, 3.0),  # score 1, clipped to a quarter
        (0, 3, 3, (0.5, 0.5, -0.5, 0.5, 1.0), 2, 1.0),  # a negative root: no area
        (1, 1, 1, (0.5, 0.5, 0.5, 0.5, -1.0), 1, 1.0),  # no confidence
        (0, 2, 2, (0.5, 0.5, 0.5, 0.5, 0.5), 1, 0.5),
    )
    found = decode(output, (64, 64), 0.1)
    assert found.scores == pytest.approx([1.0, 0.25])
    np.testing.assert_allclose(found.boxes, [[0, 0, 32, 32], [32, 32, 48, 48]])
    assert len(decode(output, (64, 64), 0.3)) == 1


def test_one_box_may_stand_for_two_classes():
    output = build_output(
        (0, 1, 1, (0.5, 0.5, 0.5, 0.5, 1.0), 0, 0.6), (0, 1, 1, (0.5, 0.5, 0.5, 0.5, 1.0), 2, 0.4)
    )
    (found,) = detect(output[None], (32, 32))
    assert found.classes.tolist() == [0, 2]


def test_suppress_keeps_the_best_of_each_class():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [30, 30, 40, 40.0]])
    found = suppress(Detections(boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 1])))
    assert found.scores.tolist() == [0.9, 0.7, 0.6]
    assert found.classes.tolist() == [1, 0, 1]
    assert len(suppress(found, most=2)) == 2
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    assert len(suppress(nothing)) == 0


def test_suppress_leaves_no_overlap(rng):
    corners = rng.uniform(0, 50, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 30, (200, 2))], 1)
    scores = np.sort(rng.uniform(size=200))[::-1]
    found = suppress(Detections(boxes, scores, rng.integers(0, 3, 200)), overlap=0.3)
    for i in range(len(found)):
        same = found.classes[i + 1 :] == found.classes[i]
        overlaps = intersection_over_union(found.boxes[i], found.boxes[i + 1 :][same])
        assert (overlaps <= 0.3).all()


def as_found(*rows):
    """Detections of one image from ``(box, score, class)``."""
    return Detections(
        np.array([row[0] for row in rows], float).reshape(-1, 4),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows], np.int64),
    )


A, B, FAR = (0, 0, 10, 10), (20, 20, 40, 40), (60, 60, 70, 70)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([as_found((A, 0.9, 0), (B, 0.8, 1)), as_found((A, 0.7, 0))], 1.0),
        ([as_found(), as_found()], 0.0),
        # Class 0 lacks one of two: precision 1 up to recall 0.5, of 101 points 51. Class 1 is
        # right.
        ([as_found((A, 0.9, 0), (B, 0.8, 1)), as_found()], (51 / 101 + 1) / 2),
        # A false alarm of class 1 above the hit halves its precision.
        ([as_found((A, 0.9, 0), (FAR, 0.9, 1), (B, 0.8, 1)), as_found((A, 0.7, 0))], 0.75),
        # Right places under the wrong class are wrong.
        ([as_found((A, 0.9, 1), (B, 0.8, 0)), as_found((A, 0.7, 1))], 0.0),
        # Overlap 6/14 is too little, 8/12 is enough.
        (
            [as_found(((4, 0, 14, 10), 0.9, 0), (B, 0.8, 1)), as_found(((2, 0, 12, 10), 0.7, 0))],
            (0.5 * 51 / 101 + 1) / 2,
        ),
    ],
)
def test_map_hand_computed(found, wanted):
    objects = pack_objects([[(A, 0, False), (B, 1, False)], [(A, 0, False)]])
    assert mean_average_precision(found, objects, N_CLASSES) == pytest.approx(wanted)


def test_map_ignores_difficult_objects():
    objects = pack_objects([[(A, 0, False), (B, 0, True)]])
    assert mean_average_precision([as_found((A, 0.9, 0))], objects, 1) == pytest.approx(1)
    both = [as_found((B, 0.95, 0), (A, 0.9, 0))]
    assert mean_average_precision(both, objects, 1) == pytest.approx(1)


def test_map_without_objects_is_zero(capsys):
    assert mean_average_precision([as_found((A, 0.9, 0))], pack_objects([[]]), 1) == 0
    assert capsys.readouterr().out == ""


def test_targets_decode_to_their_boxes(rng):
    """What the loss asks for, read by the decoder, is the object again."""
    corners = rng.uniform(0, 60, (8, 3, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(4, 36, (8, 3, 2))], 2).clip(0, 96)
    labels = rng.integers(0, N_CLASSES, (8, 3))
    labels[0, 1:] = -1
    target, label = cell_targets(
        torch.tensor(boxes / 96, dtype=torch.float32), torch.tensor(labels), 6, 6
    )
    output = np.zeros((8, n_outputs(N_CLASSES), 6, 6))
    output[:, :4] = target.numpy()
    output[:, 4] = (label >= 0).numpy()
    for c in range(N_CLASSES):
        output[:, BOX_VALUES * N_BOXES + c] = (label == c).numpy()
    for i, one in enumerate(output):
        found = decode(one, (96, 96), 0.5)
        wanted = {}
        for box, name in zip(boxes[i], labels[i], strict=True):
            if name >= 0:  # of two in a cell the last counts
                wanted[tuple(((box[:2] + box[2:]) / 32).astype(int))] = (box, name)
        assert len(found) == len(wanted)
        for box, name in wanted.values():
            distance = np.abs(found.boxes - box).max(1) + 100 * (found.classes != name)
            assert distance.min() < 1e-3


def test_loss_hand_computed():
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.75], [0, 0, 0, 0]]])
    classes = torch.tensor([[2, -1]])
    output = torch.tensor(build_output(rows=2, columns=2), dtype=torch.float32)[None]
    # Centre (0.375, 0.5): row 1, column 0, at (0.75, 0) of the cell; roots 0.5 and sqrt 0.5.
    right = (0.75, 0.0, 0.5, math.sqrt(0.5), 1.0)
    output[0, 5:10, 1, 0] = torch.tensor(right)
    output[0, 10 + 2, 1, 0] = 1
    assert detection_loss(output, boxes, classes).item() == pytest.approx(0, abs=1e-6)
    output[0, 10 + 2, 1, 0] = 0.5
    assert detection_loss(output, boxes, classes).item() == pytest.approx(0.25, abs=1e-6)
    output[0, 10 + 2, 1, 0] = 1
    output[0, 4, 0, 0] = 0.2  # confidence of an empty cell
    output[0, 4, 1, 0] = 0.1  # of the box that is not responsible
    wanted = EMPTY * (0.04 + 0.01)
    assert detection_loss(output, boxes, classes).item() == pytest.approx(wanted, abs=1e-6)
    # A position off by 0.1 cells in y: the overlap falls, and the confidence must follow it.
    output[0, 5 + 1, 1, 0] = 0.1
    overlap = 0.45 / 0.55
    wanted += COORDINATES * 0.01 + (1 - overlap) ** 2
    assert detection_loss(output, boxes, classes).item() == pytest.approx(wanted, abs=1e-5)


def test_loss_of_empty_images_has_finite_gradients():
    output = torch.zeros(2, n_outputs(N_CLASSES), 3, 3, requires_grad=True)
    loss = detection_loss(output, torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(output.grad).all()
