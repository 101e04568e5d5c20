# SPDX-License-Identifier: Apache-2.0
"""How good outputs are: accuracy for labels, mAP@0.5 for boxes, mIoU for masks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from stemcore.compiler.input_map import InputMap
from stemcore.models.data import AnyDataset, BoxDataset, MaskDataset
from stemcore.models.detection import METRIC, detect, mean_average_precision
from stemcore.models.segmentation import METRIC as SEGMENTATION_METRIC
from stemcore.models.segmentation import mean_iou, segment
from stemcore.models.user_model import float_type

# Pixels of float images that are run at a time: 250 images of 32 x 32.
BATCH_PIXELS = 250 * 32 * 32


def metric_of(dataset: AnyDataset) -> str:
    """Name of the data set's figure."""
    if isinstance(dataset, MaskDataset):
        return SEGMENTATION_METRIC
    return METRIC if isinstance(dataset, BoxDataset) else dataset.metric


def measure(dataset: AnyDataset, outputs: ArrayLike) -> float:
    """The figure, in 0..1, of outputs on the first test images.

    outputs : real values (N, ...): one per class, for masks one per class and pixel, or
    :mod:`stemcore.models.yolo`'s (N, 5 B + C, S, S). But for boxes their scale does not matter.
    """
    values = np.asarray(outputs)
    n = len(values)
    if isinstance(dataset, BoxDataset):
        found = detect(values, dataset.image_shape[1:])
        return mean_average_precision(found, dataset.test_objects[:n], dataset.n_classes)
    if isinstance(dataset, MaskDataset):
        return mean_iou(segment(values), dataset.test_masks[:n], dataset.n_classes)
    return float((predictions(values) == dataset.test_labels[:n]).mean())


def predictions(outputs: ArrayLike) -> NDArray[np.int64]:
    """Class with the largest output; the first of equals."""
    values = np.asarray(outputs)
    largest: NDArray[np.int64] = values.reshape(len(values), -1).argmax(axis=1)
    return largest


def float_outputs(
    module: torch.nn.Module,
    images: NDArray[Any],
    input_map: InputMap,
    input_shape: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Outputs of the float model on images (N, C, H, W), bytes or floats.

    input_map : what a byte means
    input_shape : of one input of the module, where it has other dimensions
    """
    shape = tuple(input_shape or images.shape[1:])
    return np.concatenate(list(_batches(module, images, input_map, shape)))


def _batches(
    module: torch.nn.Module, images: NDArray[Any], input_map: InputMap, shape: tuple[int, ...]
) -> Iterator[NDArray[np.float32]]:
    batch = max(1, BATCH_PIXELS // (images.shape[2] * images.shape[3]))
    with torch.no_grad():
        for start in range(0, len(images), batch):
            real = torch.from_numpy(input_map.real(images[start : start + batch]))
            real = real.reshape(len(real), *shape)
            yield module(real.to(float_type(module))).float().numpy()
