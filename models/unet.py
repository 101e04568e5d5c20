# SPDX-License-Identifier: Apache-2.0
"""Small U-Nets: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image
Segmentation", with two halvings, padded convolutions and batch norm."""

import torch
from torch import nn

WIDTH = 8


def double_convolution(n_in: int, n_out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with batch norm and ReLU, of the same height and width."""
    layers: list[nn.Module] = []
    for channels in (n_in, n_out):
        layers += [nn.Conv2d(channels, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def doubling(n_in: int, n_out: int, is_transposed: bool) -> nn.Module:
    """To twice the height and width: a transposed convolution, or every pixel four times and a
    convolution."""
    if is_transposed:
        return nn.ConvTranspose2d(n_in, n_out, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(n_in, n_out, 3, padding=1))


class UNet(nn.Module):
    """Down twice, up twice; each way up joins what the way down saw at that size.

    Input: float32 (N, 1, H, W) of :func:`stemcore.models.data.to_float_input`, H and W multiples of
    four. Output: scores (N, n_classes, H, W).
    """

    def __init__(self, n_classes: int, is_transposed: bool) -> None:
        super().__init__()
        one, two, four = WIDTH, 2 * WIDTH, 4 * WIDTH
        self.halve = nn.MaxPool2d(2)
        self.down1 = double_convolution(1, one)
        self.down2 = double_convolution(one, two)
        self.bottom = double_convolution(two, four)
        self.double2 = doubling(four, two, is_transposed)
        self.up2 = double_convolution(four, two)
        self.double1 = doubling(two, one, is_transposed)
        self.up1 = double_convolution(two, one)
        self.head = nn.Conv2d(one, n_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.down1(x)
        narrow = self.down2(self.halve(wide))
        x = self.bottom(self.halve(narrow))
        x = self.up2(torch.cat([narrow, self.double2(x)], 1))
        x = self.up1(torch.cat([wide, self.double1(x)], 1))
        return self.head(x)


def build_unet(n_classes: int = 4) -> nn.Module:
    """The registered network with transposed convolutions."""
    return UNet(n_classes, is_transposed=True)


def build_unet_upsampling(n_classes: int = 4) -> nn.Module:
    """The registered network with upsampling."""
    return UNet(n_classes, is_transposed=False)
