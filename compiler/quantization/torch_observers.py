# SPDX-License-Identifier: Apache-2.0
"""Observers for torchao that choose scales with zero-point 0, powers of two where wanted."""

import numpy as np
import torch
from torchao.quantization.pt2e import (
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    PerChannelMinMaxObserver,
)

from .scales import power_above

SPREAD = 2.0**-6  # of the weights' scales of one layer: one shift must serve all channels


class _ZeroPoint0:
    """Scales for integers around zero: the largest magnitude is the largest integer."""

    min_val: torch.Tensor
    max_val: torch.Tensor
    quant_min: int
    quant_max: int
    power_of_two = True
    reach = 0.0  # magnitude that the integers hold at least

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scales, powers of two where asked for, and zero-points 0."""
        low, high = self.min_val.detach().double(), self.max_val.detach().double()
        largest = high if self.quant_min == 0 else torch.maximum(-low, high)
        largest = torch.where(torch.isfinite(largest), largest, torch.ones_like(largest))
        largest = largest.clamp(min=self.reach)
        least = max(float(largest.max()) * SPREAD if largest.numel() else 0.0, 2.0**-20)
        scale = largest.clamp(min=least).cpu().numpy() / self.quant_max
        chosen = power_above(scale) if self.power_of_two else scale
        scales = torch.as_tensor(np.asarray(chosen), dtype=torch.float32).reshape(-1)
        return scales, torch.zeros(len(scales), dtype=torch.int64)


def with_reach(observer: type, reach: float) -> type:
    """The observer, of integers that hold at least the magnitude ``reach``."""
    return type(f"{observer.__name__}WithReach", (observer,), {"reach": reach})


class TensorObserver(_ZeroPoint0, MinMaxObserver):
    """One scale, a power of two, for the largest value seen."""


class FreeTensorObserver(TensorObserver):
    """One scale for the largest value seen."""

    power_of_two = False


class MovingObserver(_ZeroPoint0, MovingAverageMinMaxObserver):
    """One scale, a power of two, for the moving average of the largest values of batches."""


class FreeMovingObserver(MovingObserver):
    """One scale for the moving average of the largest values of batches."""

    power_of_two = False


class ChannelObserver(_ZeroPoint0, PerChannelMinMaxObserver):
    """A scale for each channel, powers of two, for the largest values."""


class FreeChannelObserver(ChannelObserver):
    """A scale for each channel for the largest values."""

    power_of_two = False
