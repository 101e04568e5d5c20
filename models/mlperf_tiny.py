# SPDX-License-Identifier: Apache-2.0
"""The four networks of MLPerf Tiny (Banbury et al., "MLPerf Tiny Benchmark", section 4).

As its reference models are built, in torch: convolutions have biases and batch norms, and where a
padding does not come out even, the surplus is behind the image.
"""

from itertools import pairwise

import torch
from torch import nn

from .probabilities import Probabilities

# MobileNetV1 at a quarter of its width: channels and stride of every separable convolution.
MOBILE = (
    *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
    *((128, 1),) * 5,
    *((256, 2), (256, 1)),
)
CODED = 8  # values in the middle of the autoencoder
FRAMES, BINS = 5, 128  # of its input: spectra of a sound


def normed(convolution: nn.Conv2d) -> list[nn.Module]:
    """A convolution, batch norm, ReLU."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def separable(n_in: int, n_out: int, stride: int = 1) -> list[nn.Module]:
    """A 3 x 3 convolution of each channel alone, then a 1 x 1 convolution of all.

    Of even sizes the first row and column that stride 2 reads are the image's own.
    """
    padding: list[nn.Module] = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
    depthwise = nn.Conv2d(n_in, n_in, 3, stride, padding=2 - stride, groups=n_in)
    return [*padding, *normed(depthwise), *normed(nn.Conv2d(n_in, n_out, 1))]


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: the input, or a 1 x 1 convolution of it.

    Input: (N, n_in, H, W). Output: (N, n_out, H / stride, W / stride).
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *normed(nn.Conv2d(n_in, n_out, 3, stride, padding=1)),
            *(nn.Conv2d(n_out, n_out, 3, padding=1), nn.BatchNorm2d(n_out)),
        )
        is_same = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if is_same else nn.Conv2d(n_in, n_out, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


class Layers(nn.Module):
    """Layers one behind the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build_resnet8(n_classes: int = 10) -> nn.Module:
    """Image classification: (N, 3, 32, 32) to probabilities (N, n_classes)."""
    return Layers(
        *normed(nn.Conv2d(3, 16, 3, padding=1)),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, n_classes), Probabilities()),
    )


def build_ds_cnn(n_classes: int = 10) -> nn.Module:
    """Keyword spotting: 49 frames of ten coefficients, (N, 1, 49, 10), to probabilities."""
    return Layers(
        *(nn.ZeroPad2d((1, 1, 4, 5)), *normed(nn.Conv2d(1, 64, (10, 4), 2)), nn.Dropout(0.2)),
        *(layer for _ in range(4) for layer in separable(64, 64)),
        *(nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten()),
        *(nn.Linear(64, n_classes), Probabilities()),
    )


def build_mobilenet_v1_quarter(n_classes: int = 10) -> nn.Module:
    """Visual wake words: (N, 3, 96, 96) to probabilities (N, n_classes)."""
    layers = [nn.ZeroPad2d((0, 1, 0, 1)), *normed(nn.Conv2d(3, 8, 3, 2))]
    channels = 8
    for n_out, stride in MOBILE:
        layers += separable(channels, n_out, stride)
        channels = n_out
    head = nn.AvgPool2d(3), nn.Flatten(), nn.Linear(channels, n_classes), Probabilities()
    return Layers(*layers, *head)


def build_deep_autoencoder(n_classes: int = 10) -> nn.Module:
    """Anomaly detection: spectra of a sound, (N, 1, 5, 128), and back: (N, 640).

    ``n_classes`` changes nothing: there are none.
    """
    sizes = (FRAMES * BINS, *(128,) * 4, CODED, *(128,) * 4)
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
    return Layers(*layers, nn.Linear(sizes[-1], FRAMES * BINS))
