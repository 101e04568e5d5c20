# SPDX-License-Identifier: Apache-2.0
"""Weights for networks that nobody has trained: random, at the scale of the data.

Such a network knows nothing, but its activations have the sizes and the sparsity of a trained one,
so that it can be quantized, compiled and simulated.
"""

import math

import torch
from torch import nn

from .arrays import Bytes
from .data.preprocess import to_float_input

SEED = 0
NAME = f"calibrated random (seed {SEED})"

LAYERS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@torch.no_grad()
def calibrate_random(module: nn.Module, images: Bytes, seed: int = SEED, batch: int = 8) -> None:
    """Fill a module in place: He's normal weights, batch-norm statistics of these images.

    Convolutions and dense layers get weights of variance 2 / fan-in (He et al., "Delving Deep into
    Rectifiers", eq. 10; of transposed convolutions that of an output) and zero biases, batch norms
    the factor 1 and the offset 0. Parameters that are not trained keep their values. The module is
    left in evaluation mode.

    images : uint8 array (N, C, H, W)
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    for part in module.modules():
        if isinstance(part, LAYERS) and part.weight.requires_grad:
            if isinstance(part, nn.ConvTranspose2d):
                n_taps = math.prod(part.kernel_size) / math.prod(part.stride)
                deviation = math.sqrt(2 * part.groups / (part.in_channels * n_taps))
                nn.init.normal_(part.weight, std=deviation, generator=generator)
            else:
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in norms:
        part.reset_parameters()
        # No momentum: the plain average over all batches.
        part.momentum = None
    if norms:
        module.train()
        for start in range(0, len(images), batch):
            module(to_float_input(images[start : start + batch]))
    module.eval()
