# SPDX-License-Identifier: Apache-2.0
"""LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", section II.B.

Sigmoidal neurons throughout, means with a factor and an offset that are learned for every map, and
second convolutions that read some of the maps before them. The Euclidean radial basis functions at
the end of the publication are a dense layer and a softmax here, as in most later descriptions.
"""

import torch
from torch import nn

from .probabilities import Probabilities

# Amplitude and slope of the publication's hyperbolic tangent (its appendix A).
AMPLITUDE, SLOPE = 1.7159, 2 / 3
# Which of the 16 maps of C3 read which of the six maps of S2 (its table I): a row for each of C3.
CONNECTED = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


class Squash(nn.Module):
    """The publication's neuron: ``1.7159 tanh(2 x / 3)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return AMPLITUDE * torch.tanh(SLOPE * x)


class Subsampling(nn.Module):
    """Means of 2 x 2 neurons, times a factor, plus an offset; both are learned, one a map.

    Input: (N, C, H, W). Output: (N, C, H / 2, W / 2).
    """

    def __init__(self, n_maps: int) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(2)
        self.gain = nn.Parameter(torch.ones(n_maps, 1, 1))
        self.offset = nn.Parameter(torch.zeros(n_maps, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mean(x) * self.gain + self.offset


class PartlyConnected(nn.Conv2d):
    """A convolution in which output map o reads the input maps ``connected[o]`` alone."""

    def __init__(self, n_in: int, kernel: int, connected: tuple[tuple[int, ...], ...]) -> None:
        super().__init__(n_in, len(connected), kernel)
        mask = torch.zeros(len(connected), n_in, 1, 1)
        for row, maps in zip(mask, connected, strict=True):
            row[list(maps)] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = self.get_buffer("mask")
        return nn.functional.conv2d(x, self.weight * mask, self.bias)


class LeNet5(nn.Module):
    """Layers C1 to F6 and the output, for 1 x 32 x 32 images.

    Input: float32 (N, 1, 32, 32) of :func:`stemcore.models.data.to_float_input`.
    Output: probabilities (N, n_classes).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), Squash(), Subsampling(6), Squash()),
            *(PartlyConnected(6, 5, CONNECTED), Squash(), Subsampling(16), Squash()),
            *(nn.Conv2d(16, 120, 5), Squash(), nn.Flatten(), nn.Linear(120, 84), Squash()),
            *(nn.Linear(84, n_classes), Probabilities()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def build_lenet5(n_classes: int = 10) -> nn.Module:
    """The registered network: 62k parameters."""
    return LeNet5(n_classes)
