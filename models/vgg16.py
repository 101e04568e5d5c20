# SPDX-License-Identifier: Apache-2.0
"""VGG-16: Simonyan and Zisserman, "Very Deep Convolutional Networks", configuration D."""

import torch
from torch import nn

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
HIDDEN = 4096


class Vgg16(nn.Module):
    """Thirteen 3 x 3 convolutions with biases and without batch norm, and three dense layers.

    Input: float32 (N, 3, 224, 224) of :func:`stemcore.models.data.to_float_input`.
    Output: logits (N, n_classes).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for item in VGG16:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, item, 3, padding=1), nn.ReLU()]
                channels = item
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * 7 * 7, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, n_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build_vgg16(n_classes: int = 10) -> nn.Module:
    """The registered network: 134M parameters with ten classes, 138M with 1,000."""
    return Vgg16(n_classes)
