# SPDX-License-Identifier: Apache-2.0
"""Accuracy or mAP of some images, and how much of it chance explains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.models.data import BoxDataset, Dataset
from stemcore.models.detection import detect, mean_average_precision
from stemcore.runtime.report.accuracy import measure, predictions

RESAMPLES = 100
_SEED = 0


def scored(dataset: Dataset | BoxDataset, outputs: NDArray[Any]) -> dict[str, Any]:
    """``score`` in percent, ``error``, its standard error, and ``right``, a digit an image.

    outputs : real values (N, ...) on the first N test images

    The standard error says how far the figure of another N images from the same source would lie
    away. Of an accuracy it follows from the binomial distribution; of a mAP it is the deviation of
    ``RESAMPLES`` draws of N images with replacement (the bootstrap), and ``right`` is None.
    """
    score = 100 * measure(dataset, outputs)
    if isinstance(dataset, BoxDataset):
        return {"score": score, "error": _bootstrap(dataset, outputs), "right": None}
    right = predictions(outputs) == dataset.test_labels[: len(outputs)]
    return {
        "score": score,
        "error": binomial_error(score, len(outputs)),
        "right": "".join("01"[int(one)] for one in right),
    }


def binomial_error(score: float, n_images: int) -> float:
    """Standard error, in points, of an accuracy of ``score`` percent on ``n_images``."""
    share = score / 100
    return 100 * float(np.sqrt(share * (1 - share) / n_images))


def change_error(now: dict[str, Any], before: dict[str, Any]) -> float | None:
    """Standard error, in points, of the change between two accuracies on the same images.

    Far less than that of either: images that both get right, or both wrong, say nothing. None for
    figures that count no right answers.
    """
    if now["right"] is None or before["right"] is None:
        return None
    change = _digits(now["right"]) - _digits(before["right"])
    return 100 * float(change.std() / np.sqrt(len(change)))


def _digits(text: str) -> NDArray[np.int64]:
    return np.array([int(digit) for digit in text])


def _bootstrap(dataset: BoxDataset, outputs: NDArray[Any]) -> float:
    rng = np.random.default_rng(_SEED)
    n_images = len(outputs)
    found = detect(outputs, dataset.image_shape[1:])
    objects = dataset.test_objects[:n_images]
    figures = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(n_images, size=n_images)
        detections = [found[i] for i in drawn]
        figures.append(mean_average_precision(detections, objects[drawn], dataset.n_classes))
    return 100 * float(np.std(figures))
