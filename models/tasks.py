# SPDX-License-Identifier: Apache-2.0
"""What training needs to know about a task: its batches, its loss and its measure."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from .arrays import Bytes, Labels
from .augment import augment, augment_boxes
from .data import AnyDataset
from .data.boxes import BoxDataset, Objects
from .data.dataset import Dataset
from .data.image_files import PADDING_BYTE
from .data.masks import MaskDataset
from .data.preprocess import to_float_input
from .detection import METRIC, detect, mean_average_precision
from .detection_loss import detection_loss
from .recipes import Recipe
from .segmentation import METRIC as SEGMENTATION_METRIC
from .segmentation import mean_iou, segment

Data = TypeVar("Data")
Targets = TypeVar("Targets")


class Task(ABC, Generic[Data, Targets]):
    """What a kind of data set asks of training and of measuring; ``metric`` names its figure."""

    metric: str

    @abstractmethod
    def draw(
        self,
        dataset: Data,
        picked: torch.Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        mirrored: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Targets]:
        """Augmented uint8 images (N, C, H, W) and targets of the training images ``picked``.

        mirrored : bool tensor over all training images, or None
            Which ones are mirrored; None: a random half, if the recipe mirrors at all.
        """

    @abstractmethod
    def loss(self, outputs: torch.Tensor, targets: Targets, recipe: Recipe) -> torch.Tensor:
        """Scalar with gradients, from float32 outputs (N, ..)."""

    @abstractmethod
    def move(self, targets: Targets, device: torch.device) -> Targets:
        """The targets of :meth:`draw` on ``device``."""

    @abstractmethod
    def measure(self, module: nn.Module, dataset: Data, half_precision: bool = False) -> float:
        """The metric on the test images, in 0..1."""


class _OneTensor(Task[Data, torch.Tensor]):
    """A task whose targets are one tensor."""

    def move(self, targets: torch.Tensor, device: torch.device) -> torch.Tensor:
        return targets.to(device)


class Classification(_OneTensor[Dataset]):
    """Labels, cross-entropy, share of images that are right."""

    metric = "accuracy"

    def draw(
        self,
        dataset: Dataset,
        picked: torch.Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        mirrored: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
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
                recipe.cutout,
            ),
            torch.from_numpy(dataset.train_labels)[picked],
        )

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)

    def measure(self, module: nn.Module, dataset: Dataset, half_precision: bool = False) -> float:
        """Accuracy on the test images, in 0..1."""
        return measure_accuracy(
            module, dataset.test_images, dataset.test_labels, half_precision=half_precision
        )


class Detection(Task[BoxDataset, tuple[torch.Tensor, torch.Tensor]]):
    """Boxes, the loss of YOLOv1, mean average precision."""

    metric = METRIC

    def draw(
        self,
        dataset: BoxDataset,
        picked: torch.Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        mirrored: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
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

    def loss(
        self, outputs: torch.Tensor, targets: tuple[torch.Tensor, torch.Tensor], recipe: Recipe
    ) -> torch.Tensor:
        return detection_loss(outputs, *targets)

    def move(
        self, targets: tuple[torch.Tensor, torch.Tensor], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        boxes, classes = targets
        return boxes.to(device), classes.to(device)

    def measure(
        self, module: nn.Module, dataset: BoxDataset, half_precision: bool = False
    ) -> float:
        """mAP@0.5 on the test images, in 0..1."""
        return measure_map(
            module,
            dataset.test_images,
            dataset.test_objects,
            dataset.n_classes,
            half_precision=half_precision,
        )


class Segmentation(_OneTensor[MaskDataset]):
    """A class for each pixel, cross-entropy, mean intersection over union."""

    metric = SEGMENTATION_METRIC

    def draw(
        self,
        dataset: MaskDataset,
        picked: torch.Tensor,
        recipe: Recipe,
        generator: torch.Generator,
        mirrored: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``(uint8 images (N, C, H, W), classes (N, H, W))``; pixels that a shift has brought in
        are of the class ``PADDING_BYTE``, which is none."""
        # A mask moves as a further channel of its image does.
        masks = torch.from_numpy(dataset.train_masks)[picked][:, None]
        both = torch.cat([torch.from_numpy(dataset.train_images)[picked], masks], 1)
        flip = recipe.flip if mirrored is None else mirrored[picked]
        moved = augment(both, recipe.shift, flip, generator)
        return moved[:, :-1], moved[:, -1].long()

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
        return nn.functional.cross_entropy(
            outputs, targets, label_smoothing=recipe.label_smoothing, ignore_index=PADDING_BYTE
        )

    def measure(
        self, module: nn.Module, dataset: MaskDataset, half_precision: bool = False
    ) -> float:
        """Mean intersection over union on the test images, in 0..1."""
        batches = run_batches(module, dataset.test_images, half_precision=half_precision)
        found = np.concatenate([segment(outputs.numpy()) for outputs in batches])
        return mean_iou(found, dataset.test_masks, dataset.n_classes)


def task_of(dataset: AnyDataset) -> Task[Any, Any]:
    """The task that a loaded data set is for."""
    if isinstance(dataset, BoxDataset):
        return Detection()
    return Segmentation() if isinstance(dataset, MaskDataset) else Classification()


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next(module.parameters()).device


@torch.no_grad()
def run_batches(
    module: nn.Module, images: Bytes, batch: int = 250, half_precision: bool = False
) -> Iterator[torch.Tensor]:
    """Outputs (float32 tensors on the processor) of a float module, batch by batch.

    The module computes where it is. images : uint8 array (N, C, H, W)
    """
    module.eval()
    device = device_of(module)
    if half_precision:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for start in range(0, len(images), batch):
        x = to_float_input(images[start : start + batch]).to(device)
        if half_precision:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half_precision):
            outputs = module(x)
        yield outputs.float().cpu()


def measure_accuracy(
    module: nn.Module, images: Bytes, labels: Labels, batch: int = 250, half_precision: bool = False
) -> float:
    """Share of images whose largest logit is the label's, in 0..1.

    images : uint8 array (N, C, H, W); labels : int64 array (N,). Ties go to the lower class.
    """
    predicted = torch.cat(
        [outputs.argmax(1) for outputs in run_batches(module, images, batch, half_precision)]
    )
    return float((predicted.numpy() == labels).mean())


def measure_map(
    module: nn.Module,
    images: Bytes,
    objects: Objects,
    n_classes: int,
    batch: int = 50,
    half_precision: bool = False,
) -> float:
    """mAP@0.5 of a float detector, in 0..1.

    images : uint8 array (N, C, H, W); objects : stemcore.models.data.boxes.Objects of N images.
    """
    found = []
    for outputs in run_batches(module, images, batch, half_precision):
        found += detect(outputs.numpy(), images.shape[2:])
    return mean_average_precision(found, objects, n_classes)
