# SPDX-License-Identifier: Apache-2.0
"""The loss of YOLOv1 (Redmon et al., section 2.2, eq. 3), on outputs of :mod:`yolo`."""

import torch

from .yolo import BOX_VALUES, N_BOXES

COORDINATES = 5.0
EMPTY = 0.5


def detection_loss(
    outputs: torch.Tensor, boxes: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Sum of squared errors over cells, averaged over images.

    Of a cell's boxes the one that overlaps the object most is responsible for it: its position
    counts ``COORDINATES`` times, and its confidence aims at that overlap. All other confidences aim
    at zero and count ``EMPTY`` times.

    outputs : float32 tensor (N, 5 B + C, S, S)
    boxes : float32 tensor (N, M, 4)
        x0, y0, x1, y1 as shares of the image.
    classes : int64 tensor (N, M)
        Negative where there is no object.
    """
    n, _, rows, columns = outputs.shape
    values = outputs[:, : BOX_VALUES * N_BOXES].reshape(n, N_BOXES, BOX_VALUES, rows, columns)
    target, label = cell_targets(boxes, classes, rows, columns)
    is_object = label >= 0
    overlap = _overlaps(values, target)
    responsible = torch.zeros_like(overlap).scatter_(1, overlap.argmax(1, keepdim=True), 1.0)
    responsible = responsible * is_object[:, None]
    wrong = (values[:, :, :4] - target[:, None]).square().sum(2)
    position = (responsible * wrong).sum()
    confidence = (values[:, :, 4] - responsible * overlap).square()
    weight = responsible + EMPTY * (1 - responsible)
    wanted = torch.nn.functional.one_hot(
        label.clamp(min=0), outputs.shape[1] - BOX_VALUES * N_BOXES
    ).permute(0, 3, 1, 2)
    kind = (outputs[:, BOX_VALUES * N_BOXES :] - wanted).square().sum(1) * is_object
    return (COORDINATES * position + (weight * confidence).sum() + kind.sum()) / n


def cell_targets(
    boxes: torch.Tensor, classes: torch.Tensor, rows: int, columns: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each cell should answer: ``(x, y, roots (N, 4, rows, columns), class (N, rows, ..))``.

    Of several objects in a cell the last of the list counts. A class of -1 is an empty cell.
    """
    n = len(boxes)
    target = torch.zeros(n, 4, rows, columns)
    label = torch.full((n, rows, columns), -1, dtype=torch.int64)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 * torch.tensor([columns, rows])
    cell = centre.floor()
    cell = torch.minimum(cell.clamp(min=0), torch.tensor([columns - 1.0, rows - 1.0])).long()
    inside = centre - cell
    roots = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).sqrt()
    answers = torch.cat([inside, roots], -1)
    for j in range(boxes.shape[1]):
        images = torch.nonzero(classes[:, j] >= 0)[:, 0]
        x, y = cell[images, j, 0], cell[images, j, 1]
        target[images, :, y, x] = answers[images, j]
        label[images, y, x] = classes[images, j]
    return target, label


@torch.no_grad()
def _overlaps(values: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Intersection over union of each predicted box with its cell's target: (N, B, rows, columns).

    Both are about the same cell, so that the cell's own position drops out.
    """
    rows, columns = target.shape[2:]
    scale = torch.tensor([1 / columns, 1 / rows]).view(2, 1, 1)

    def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        centre, half = x[..., :2, :, :] * scale, x[..., 2:4, :, :].clamp(min=0).square() / 2
        return centre - half, centre + half

    low, high = edges(values)
    wanted_low, wanted_high = (x[:, None] for x in edges(target))
    both = (torch.minimum(high, wanted_high) - torch.maximum(low, wanted_low)).clamp(min=0).prod(2)
    either = (high - low).prod(2) + (wanted_high - wanted_low).prod(2) - both
    return both / either.clamp(min=1e-9)
