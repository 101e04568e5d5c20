# SPDX-License-Identifier: Apache-2.0
"""Grouped convolutions whose rows and columns have taps of their own, in torch."""

from typing import TYPE_CHECKING

import numpy as np

from stemcore.golden.network.taps import Taps

if TYPE_CHECKING:
    import torch


def tap_convolution(
    x: "torch.Tensor", weight: "torch.Tensor", rows: Taps, columns: Taps, groups: int
) -> "torch.Tensor":
    """Sums (N, C', H', W') of values (N, C, H, W), in their type.

    weight : (C', C / groups, K_y, K_x). Kernel position by kernel position: what reaches the
    outputs through it is brought there, and meets its weights in a 1 x 1 convolution.
    """
    from torch.nn import functional as F

    total = x.new_zeros(len(x), len(weight), rows.n_outputs, columns.n_outputs)
    across = [_selection(x, columns, k) for k in range(weight.shape[3])]
    for ky in range(weight.shape[2]):
        down = _selection(x, rows, ky)
        if down is None:
            continue
        strips = down @ x
        for kx, side in enumerate(across):
            part = weight[:, :, ky, kx]
            if side is not None and bool(part.any()):
                total += F.conv2d(strips @ side.T, part[:, :, None, None], groups=groups)
    return total


def _selection(x: "torch.Tensor", taps: Taps, kernel_position: int) -> "torch.Tensor | None":
    """(outputs, size) of how often a position reaches an output; None where none does."""
    source, output, position = taps.pairs()
    chosen = position == kernel_position
    if not chosen.any():
        return None
    table = np.zeros((taps.n_outputs, taps.size))
    np.add.at(table, (output[chosen], source[chosen]), 1)
    return x.new_tensor(table)
