# SPDX-License-Identifier: Apache-2.0
"""The VGG family: 3 x 3 convolutions with batch norm and ReLU, max pooling by two, dense layers."""

from collections.abc import Sequence

import torch
from torch import nn

from .arrays import Shape

TINY_VGG = (32, 32, "M", 64, 128, "M", 192, 256, "M")
# Configuration A of Simonyan and Zisserman, "Very Deep Convolutional Networks".
VGG11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
TINY_VGG_12M = (32, "M", 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M")


class TinyVgg(nn.Module):
    """A VGG as one ``nn.Sequential``, so that layer names count up with depth.

    Parameters
    ----------
    config : tuple
        Output channels of a convolution, or ``"M"`` for a 2 x 2 max pooling, in order. Channel
        counts are multiples of 32, so that a memory word of lanes is never half empty.
    dense : tuple of int
        Widths of the hidden dense layers between the convolutions and the classifier.
    input_shape : tuple (C, H, W)
        Height and width are multiples of two to the number of poolings.
    n_classes : int

    Input: float32 (N, C, H, W) of :func:`stemcore.models.data.to_float_input`.
    Output: logits (N, n_classes).
    """

    def __init__(
        self,
        config: Sequence[int | str] = TINY_VGG,
        dense: Sequence[int] = (),
        input_shape: Shape = (3, 32, 32),
        n_classes: int = 10,
    ) -> None:
        super().__init__()
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        for item in config:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            else:
                layers += [
                    nn.Conv2d(channels, item, 3, padding=1, bias=False),
                    nn.BatchNorm2d(item),
                    nn.ReLU(),
                ]
                channels = item
        layers.append(nn.Flatten())
        features = channels * height * width
        for width_out in dense:
            layers += [nn.Linear(features, width_out), nn.ReLU()]
            features = width_out
        layers.append(nn.Linear(features, n_classes))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build_tiny_vgg(n_classes: int = 10) -> nn.Module:
    """The default: 0.8M parameters, 76M multiply-accumulates for a 3 x 32 x 32 image."""
    return TinyVgg(n_classes=n_classes)


def build_tiny_vgg_12m(n_classes: int = 10) -> nn.Module:
    """The paper's size: 12.0M parameters for a 3 x 64 x 64 image, with two hidden dense layers."""
    return TinyVgg(TINY_VGG_12M, dense=(2048, 1536), input_shape=(3, 64, 64), n_classes=n_classes)


def build_vgg11(n_classes: int = 10) -> nn.Module:
    """VGG-11 as it is used on 32 x 32 images: 9.2M parameters, one dense layer after the last
    pooling."""
    return TinyVgg(VGG11, n_classes=n_classes)
