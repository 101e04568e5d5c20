# SPDX-License-Identifier: Apache-2.0
"""From a detector's output to boxes, and how good they are: decoding, suppression, mAP."""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from stemcore.extras import require_extra

from .arrays import Floats, Labels
from .data.boxes import NO_OBJECT, Objects
from .yolo import BOX_VALUES, N_BOXES

if TYPE_CHECKING:
    from pycocotools.coco import COCO

Result = TypeVar("Result")

MAP_THRESHOLD = 0.02
SHOWN_THRESHOLD = 0.2
SUPPRESSION_OVERLAP = 0.5
MOST_DETECTIONS = 100
METRIC = "mAP@0.5"


@dataclass(frozen=True)
class Detections:
    """What a detector found on one image, best first.

    Attributes
    ----------
    boxes : float64 array (K, 4)
        x0, y0, x1, y1 in pixels, clipped to the image.
    scores : float64 array (K,)
        Confidence times class value.
    classes : int64 array (K,)
    """

    boxes: Floats
    scores: Floats
    classes: Labels

    def __len__(self) -> int:
        return len(self.scores)


def detect(
    outputs: ArrayLike, size: tuple[int, int], threshold: float = MAP_THRESHOLD
) -> list[Detections]:
    """Decoded and suppressed detections of every image.

    outputs : array (N, 5 B + C, S, S) of real values, see :mod:`stemcore.models.yolo`
    size : (height, width) of the image in pixels
    threshold : float
        Smallest score that counts.
    Returns a list of :class:`Detections`.
    """
    return [suppress(decode(one, size, threshold)) for one in np.asarray(outputs, np.float64)]


def decode(output: Floats, size: tuple[int, int], threshold: float) -> Detections:
    """All boxes of one image whose score for a class reaches the threshold, best first."""
    height, width = size
    rows, columns = output.shape[1:]
    values = output[: BOX_VALUES * N_BOXES].reshape(N_BOXES, BOX_VALUES, rows, columns)
    y, x = np.mgrid[:rows, :columns]
    centre_x = (x + values[:, 0]) * (width / columns)
    centre_y = (y + values[:, 1]) * (height / rows)
    half_width = np.square(np.maximum(values[:, 2], 0)) * width / 2
    half_height = np.square(np.maximum(values[:, 3], 0)) * height / 2
    boxes = np.stack(
        [
            centre_x - half_width,
            centre_y - half_height,
            centre_x + half_width,
            centre_y + half_height,
        ],
        axis=-1,
    )
    boxes = np.clip(boxes, 0, [width, height] * 2)
    scores = np.clip(values[:, None, 4], 0, 1) * np.clip(output[None, BOX_VALUES * N_BOXES :], 0, 1)
    has_area = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    box, label, row, column = np.nonzero((scores >= threshold) & has_area[:, None])
    found = scores[box, label, row, column]
    order = np.argsort(-found, kind="stable")
    return Detections(boxes[box, row, column][order], found[order], label[order])


def suppress(
    detections: Detections, overlap: float = SUPPRESSION_OVERLAP, most: int = MOST_DETECTIONS
) -> Detections:
    """Greedy non-maximum suppression: a box falls to a better one of its class it overlaps.

    detections : Detections, best first
    overlap : float
        Intersection over union above which the lesser box goes.
    """
    covered = np.zeros(len(detections), bool)
    kept = []
    # Boxes of different classes are moved apart, so that one matrix serves all.
    shift = (detections.classes * (detections.boxes.max(initial=0) + 1))[:, None]
    moved = detections.boxes + shift
    for i in range(len(detections)):
        if covered[i]:
            continue
        kept.append(i)
        if len(kept) == most:
            break
        covered |= intersection_over_union(moved[i], moved) > overlap
    return Detections(detections.boxes[kept], detections.scores[kept], detections.classes[kept])


def intersection_over_union(box: Floats, boxes: Floats) -> Floats:
    """Of one box (4,) with each of ``boxes`` (K, 4), all with an area."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    both: Floats = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return both / (areas + (box[2:] - box[:2]).prod() - both)


def mean_average_precision(
    detections: Sequence[Detections], objects: Objects, n_classes: int
) -> float:
    """mAP@0.5 in 0..1: mean over the classes that occur of the average precision.

    Computed by pycocotools (101 recall points) at an intersection over union of 0.5. Objects marked
    difficult are ignored, as a crowd is there.

    detections : list of N Detections
    objects : stemcore.models.data.boxes.Objects of N images
    """
    require_extra("detect", "mAP of a detector")
    truth = _quietly(_coco, _annotations(objects), len(objects), n_classes)
    found = [
        {
            "image_id": i + 1,
            "category_id": int(label) + 1,
            "bbox": _corner_size(box),
            "score": float(score),
        }
        for i, one in enumerate(detections)
        for box, score, label in zip(one.boxes, one.scores, one.classes, strict=True)
    ]
    if not found or not truth.anns:
        return 0.0
    return _quietly(_evaluate, truth, found)


def _annotations(objects: Objects) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i, j in np.argwhere(objects.classes != NO_OBJECT):
        box = _corner_size(objects.boxes[i, j])
        rows.append(
            {
                "id": len(rows) + 1,
                "image_id": int(i) + 1,
                "bbox": box,
                "category_id": int(objects.classes[i, j]) + 1,
                "area": box[2] * box[3],
                "iscrowd": int(objects.difficult[i, j]),
            }
        )
    return rows


def _coco(annotations: list[dict[str, Any]], n_images: int, n_classes: int) -> "COCO":
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(n_images)],
        "annotations": annotations,
        "categories": [{"id": i + 1} for i in range(n_classes)],
    }
    coco.createIndex()
    return coco


def _evaluate(truth: "COCO", found: list[dict[str, Any]]) -> float:
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MOST_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    # -1 marks classes without objects.
    precision = evaluation.eval["precision"]
    return float(precision[precision > -1].mean()) if (precision > -1).any() else 0.0


def _corner_size(box: Iterable[float]) -> list[float]:
    x0, y0, x1, y1 = map(float, box)
    return [x0, y0, x1 - x0, y1 - y0]


def _quietly(function: Callable[..., Result], *arguments: Any) -> Result:
    """The library reports its progress on the standard output."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)
