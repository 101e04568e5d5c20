# SPDX-License-Identifier: Apache-2.0
"""What training needs to know about a task: its batches, its loss and its measure."""

import torch
from torch import nn

from .augment import augment, augment_boxes
from .data.boxes import BoxDataset
from .data.preprocess import to_float_input
from .detection import METRIC, detect, mean_average_precision
from .detection_loss import detection_loss


class Classification:
    """Labels, cross-entropy, share of images that are right."""

    metric = "accuracy"

    def draw(self, dataset, picked, recipe, generator, mirrored=None):
        """``(uint8 images (N, C, H, W), labels (N,))`` of some training images, augmented.

        mirrored : bool tensor over all training images, or None
            Which ones are mirrored; None: a random half, if the recipe mirrors at all.
        """
        images = torch.from_numpy(dataset.train_images)[picked]
        return (
            augment(
                images,
                recipe.shift,
                recipe.flip if mirrored is None else mirrored[picked],
                generator,
            ),
            torch.from_numpy(dataset.train_labels)[picked],
        )

    def loss(self, outputs, targets, recipe):
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)

    def measure(self, module, dataset, half_precision=False):
        """Accuracy on the test images, in 0..1."""
        return measure_accuracy(
            module, dataset.test_images, dataset.test_labels, half_precision=half_precision
        )


class Detection:
    """Boxes, the loss of YOLOv1, mean average precision."""

    metric = METRIC

    def draw(self, dataset, picked, recipe, generator, mirrored=None):
        """``(uint8 images (N, C, H, W), (boxes as shares (N, M, 4), classes (N, M)))``."""
        objects = dataset.train_objects
        images, boxes, classes = augment_boxes(
            torch.from_numpy(dataset.train_images)[picked],
            torch.from_numpy(objects.boxes)[picked],
            torch.from_numpy(objects.classes)[picked],
            recipe,
            generator,
        )
        height, width = images.shape[2:]
        return images, (boxes / torch.tensor([width, height] * 2), classes)

    def loss(self, outputs, targets, recipe):
        return detection_loss(outputs, *targets)

    def measure(self, module, dataset, half_precision=False):
        """mAP@0.5 on the test images, in 0..1."""
        return measure_map(
            module,
            dataset.test_images,
            dataset.test_objects,
            dataset.n_classes,
            half_precision=half_precision,
        )


def task_of(dataset):
    """The task that a loaded data set is for."""
    return Detection() if isinstance(dataset, BoxDataset) else Classification()


@torch.no_grad()
def run_batches(module, images, batch=250, half_precision=False):
    """Outputs (float32 tensors) of a float module, batch by batch.

    images : uint8 array (N, C, H, W)
    """
    module.eval()
    if half_precision:
        module.to(memory_format=torch.channels_last)
    for start in range(0, len(images), batch):
        x = to_float_input(images[start : start + batch])
        if half_precision:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
            outputs = module(x)
        yield outputs.float()


def measure_accuracy(module, images, labels, batch=250, half_precision=False):
    """Share of images whose largest logit is the label's, in 0..1.

    images : uint8 array (N, C, H, W); labels : int64 array (N,). Ties go to the lower class.
    """
    predicted = torch.cat(
        [outputs.argmax(1) for outputs in run_batches(module, images, batch, half_precision)]
    )
    return float((predicted.numpy() == labels).mean())


def measure_map(module, images, objects, n_classes, batch=50, half_precision=False):
    """mAP@0.5 of a float detector, in 0..1.

    images : uint8 array (N, C, H, W); objects : stemcore.models.data.boxes.Objects of N images.
    """
    found = []
    for outputs in run_batches(module, images, batch, half_precision):
        found += detect(outputs.numpy(), images.shape[2:])
    return mean_average_precision(found, objects, n_classes)
