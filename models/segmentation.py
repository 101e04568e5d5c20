# SPDX-License-Identifier: Apache-2.0
"""How good a segmentation is: mean intersection over union."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

METRIC = "mIoU"


def segment(outputs: ArrayLike) -> NDArray[np.int64]:
    """Class of every pixel (N, H, W) from scores (N, classes, H, W); the first of equals."""
    largest: NDArray[np.int64] = np.asarray(outputs).argmax(axis=1)
    return largest


def mean_iou(found: ArrayLike, masks: ArrayLike, n_classes: int) -> float:
    """Mean over the classes of the intersection of what was found with what is there, divided by
    their union; both over all images. In 0..1.

    found, masks : integers (N, H, W). Classes that neither has do not count.
    """
    pairs = np.asarray(masks, np.int64).ravel() * n_classes + np.asarray(found, np.int64).ravel()
    table = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    both = np.diag(table)
    union = table.sum(axis=0) + table.sum(axis=1) - both
    return float((both[union > 0] / union[union > 0]).mean()) if union.any() else 0.0
