# SPDX-License-Identifier: Apache-2.0
"""A VGG of seven convolutions behind a whitening one (arXiv 2404.00498)."""

from collections.abc import Iterator, Sequence

from torch import nn

from .whitened import FIRST_CHANNELS, WhitenedNetwork, identity_convolution, plain_batch_norm

WIDTHS = (64, 256, 256)


def build_vgg7(n_classes: int = 10, widths: Sequence[int] = WIDTHS) -> nn.Module:
    """2.0M parameters, 0.12G multiply-accumulates for a 3 x 32 x 32 image.

    widths : channels of the three blocks.
    """
    return WhitenedNetwork(_layers(widths), widths[-1], n_classes)


def _layers(widths: Sequence[int]) -> Iterator[nn.Module]:
    """Of a block: convolution, max pooling, batch norm, ReLU, convolution, batch norm, ReLU.

    Max pooling comes before batch norm, which costs the training a quarter of the work; without a
    gain the two commute, so that the compiler makes one layer of them all the same.
    """
    channels = FIRST_CHANNELS
    for width in widths:
        yield identity_convolution(channels, width)
        yield nn.MaxPool2d(2)
        yield plain_batch_norm(width)
        yield nn.ReLU()
        yield identity_convolution(width, width)
        yield plain_batch_norm(width)
        yield nn.ReLU()
        channels = width
