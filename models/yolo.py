# SPDX-License-Identifier: Apache-2.0
"""Detectors with the output of YOLOv1 (Redmon et al., "You Only Look Once", section 2).

The image is a grid of S x S cells. Each cell answers with ``N_BOXES`` boxes of five values
(x, y, root of width, root of height, confidence) and one value per class:

* x, y: centre of the box, in cells from the cell's corner;
* the roots' squares: width and height as shares of the image;
* confidence: how far the box is expected to overlap an object, 0..1;
* classes: one for the class of the object whose centre is in the cell, zero for the others.

All are plain signed numbers near -1..1, so that eight bits hold them. The head is a 1 x 1
convolution where the publication has dense layers: every cell sees most of the image through the
layers before it.
"""

from collections.abc import Sequence

import torch
from torch import nn

from .resnet import BLOCKS_34, convolution, imagenet_stem, residual_stages

N_BOXES = 2
BOX_VALUES = 5
# Channels of the convolutions after the stem; "M" is a 2 x 2 max pooling.
TINY_YOLO = ("M", 64, 64, "M", 128, 128, "M", 192, 192, 256)


def n_outputs(n_classes: int) -> int:
    """Values of one cell."""
    return BOX_VALUES * N_BOXES + n_classes


def tiny_layers(config: Sequence[int | str] = TINY_YOLO, stem: int = 32) -> list[nn.Module]:
    """All layers of the small detector but its head: 3 x 112 x 112 to 256 x 7 x 7."""
    layers: list[nn.Module] = [*convolution(3, stem, 3, stride=2), nn.ReLU()]
    channels = stem
    for item in config:
        if isinstance(item, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [*convolution(channels, item, 3), nn.ReLU()]
            channels = item
    return layers


class TinyYolo(nn.Module):
    """Built like :class:`stemcore.models.tiny_vgg.TinyVgg`, with a first convolution of stride two.

    Input: float32 (N, 3, 112, 112) of :func:`stemcore.models.data.to_float_input`.
    Output: (N, 10 + n_classes, 7, 7), see the module's text.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *tiny_layers(), nn.Conv2d(TINY_YOLO[-1], n_outputs(n_classes), 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class TinyYoloBackbone(nn.Module):
    """The layers of :class:`TinyYolo` as a classifier: a start for a detector with few images.

    Input: float32 (N, 3, 112, 112). Output: logits (N, n_classes).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*tiny_layers())
        self.head = nn.Sequential(
            nn.AvgPool2d(7), nn.Flatten(), nn.Linear(TINY_YOLO[-1], n_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x))


class YoloResnet34(nn.Module):
    """The layers of ResNet-34 before its average, one more convolution, and the head.

    Input: float32 (N, 3, 224, 224) of :func:`data.to_float_input`; the publication's 448
    pixels would give the same 7 x 7 cells with one more halving.
    Output: (N, 10 + n_classes, 7, 7), see the module's text.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*imagenet_stem())
        self.stages = nn.Sequential(*residual_stages(BLOCKS_34, 64))
        self.head = nn.Sequential(
            *convolution(512, 512, 3), nn.ReLU(), nn.Conv2d(512, n_outputs(n_classes), 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)))


def build_tiny_yolo(n_classes: int = 10) -> nn.Module:
    """The registered network: 1.3M parameters, 138M multiply-accumulates."""
    return TinyYolo(n_classes)


def build_tiny_yolo_backbone(n_classes: int = 10) -> nn.Module:
    """The registered network: 1.3M parameters."""
    return TinyYoloBackbone(n_classes)


def build_yolo_resnet34(n_classes: int = 10) -> nn.Module:
    """The registered network: 23.7M parameters with 20 classes."""
    return YoloResnet34(n_classes)
