# SPDX-License-Identifier: Apache-2.0
"""Residual networks of basic blocks: He et al., "Deep Residual Learning for Image Recognition"."""

from collections.abc import Sequence

import torch
from torch import nn

# Basic blocks in each of the four stages.
BLOCKS_18 = (2, 2, 2, 2)
BLOCKS_34 = (3, 4, 6, 3)


def convolution(n_in: int, n_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Convolution and batch norm, padded so that stride 1 keeps height and width (odd kernels)."""
    return [
        nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
    ]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; their sum is rectified.

    The shortcut is the input itself, or a 1 x 1 convolution where channels or stride change.

    Input: (N, n_in, H, W). Output: (N, n_out, H / stride, W / stride).
    """

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(n_in, n_out, 3, stride), nn.ReLU(), *convolution(n_out, n_out, 3)
        )
        self.shortcut = (
            nn.Identity()
            if n_in == n_out and stride == 1
            else nn.Sequential(*convolution(n_in, n_out, 1, stride))
        )
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


def residual_stages(blocks: Sequence[int], width: int) -> list[nn.Module]:
    """The four stages as a list of :class:`BasicBlock`; widths double, the first keeps its size.

    Input: (N, width, H, W). Output: (N, 8 * width, H / 8, W / 8).
    """
    stages: list[nn.Module] = []
    n_in = width
    for stage, n_blocks in enumerate(blocks):
        n_out = width << stage
        for block in range(n_blocks):
            stride = 2 if stage and not block else 1
            stages.append(BasicBlock(n_in, n_out, stride))
            n_in = n_out
    return stages


def imagenet_stem(width: int = 64) -> list[nn.Module]:
    """7 x 7 convolution and 3 x 3 max pooling, both by two: (N, width, H / 4, W / 4) in the end."""
    return [*convolution(3, width, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]


def small_stem(width: int) -> list[nn.Module]:
    """One 3 x 3 convolution that keeps the size of a small image."""
    return [*convolution(3, width, 3), nn.ReLU()]


class ResNet(nn.Module):
    """Stem, residual stages, average over all positions, one dense layer.

    Parameters
    ----------
    stem : list of modules
        :func:`imagenet_stem` or :func:`small_stem`, of the same ``width``.
    blocks : tuple of int
    width : int
        Channels of the first stage.
    final_size : int
        Height and width after the last stage.
    n_classes : int

    Input: float32 (N, 3, H, W) of :func:`stemcore.models.data.to_float_input`.
    Output: logits (N, n_classes).
    """

    def __init__(
        self,
        stem: Sequence[nn.Module],
        blocks: Sequence[int],
        width: int,
        final_size: int,
        n_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*stem)
        self.stages = nn.Sequential(*residual_stages(blocks, width))
        self.head = nn.Sequential(
            nn.AvgPool2d(final_size), nn.Flatten(), nn.Linear(8 * width, n_classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)))


def build_resnet18_cifar(n_classes: int = 10, width: int = 16) -> nn.Module:
    """ResNet-18 for 3 x 32 x 32 images, a quarter as wide as usual: 0.7M parameters."""
    return ResNet(small_stem(width), BLOCKS_18, width, final_size=4, n_classes=n_classes)


def build_resnet18(n_classes: int = 10) -> nn.Module:
    """ResNet-18 for 3 x 224 x 224 images: 11.7M parameters with 1,000 classes."""
    return ResNet(imagenet_stem(), BLOCKS_18, 64, final_size=7, n_classes=n_classes)


def build_resnet34(n_classes: int = 10) -> nn.Module:
    """ResNet-34 for 3 x 224 x 224 images: 21.8M parameters with 1,000 classes."""
    return ResNet(imagenet_stem(), BLOCKS_34, 64, final_size=7, n_classes=n_classes)
