# SPDX-License-Identifier: Apache-2.0
"""Networks that learn CIFAR10 in few epochs, behind a first convolution that whitens patches.

The architectures and the way they start follow Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single
GPU" (arXiv 2404.00498), with ReLU in the place of GELU: a first convolution of 2 x 2 whose fixed
weights whiten the image's patches, three blocks of 3 x 3 convolutions that start as identities,
batch norm without gain, and logits scaled by 1/9.
"""

from collections.abc import Iterable

import torch
from torch import nn

from .arrays import Bytes
from .data.preprocess import to_float_input

PATCH = 2
WHITENING_IMAGES = 5000
WHITENING_EPSILON = 5e-4  # added to variances: rare directions are not blown up
LOGIT_SCALE = 1 / 9
FIRST_CHANNELS = 2 * 3 * PATCH * PATCH  # each direction of a patch, and its negative


class WhitenedNetwork(nn.Module):
    """Input: float32 (N, 3, 32, 32) of :func:`to_float_input`. Output: logits (N, n_classes).

    Parameters
    ----------
    blocks : iterable of nn.Module
        From ``FIRST_CHANNELS`` x 31 x 31 to ``n_features`` x 3 x 3, in sequence.
    n_features, n_classes : int
    """

    def __init__(self, blocks: Iterable[nn.Module], n_features: int, n_classes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, FIRST_CHANNELS, PATCH)
        self.whiten.weight.requires_grad_(False)
        assert self.whiten.bias is not None
        nn.init.zeros_(self.whiten.bias)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.MaxPool2d(3)
        self.classify = nn.Linear(n_features, n_classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.whiten(x))
        x = self.pool(self.blocks(x)).flatten(1)
        return self.classify(x) * LOGIT_SCALE

    @torch.no_grad()
    def initialise_from(self, images: Bytes) -> None:
        """Sets the first convolution to whiten the patches of ``images``, uint8 (N, 3, H, W).

        Its filters are the eigenvectors of the patches' covariance, each divided by the standard
        deviation along it, and their negatives, so that ReLU loses nothing.
        """
        batch = to_float_input(images[:WHITENING_IMAGES])
        patches = nn.functional.unfold(batch, PATCH).transpose(1, 2).flatten(0, 1).double()
        patches -= patches.mean(0)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = directions / (variances + WHITENING_EPSILON).sqrt()
        filters = filters.T.flip(0).reshape(-1, *self.whiten.weight.shape[1:])
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


def identity_convolution(n_in: int, n_out: int) -> nn.Conv2d:
    """3 x 3, without bias; the first ``n_in`` outputs start as copies of the inputs."""
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight[:n_in].data)
    return convolution


def plain_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Without a gain, and with statistics that follow the last few batches."""
    norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
