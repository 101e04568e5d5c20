# SPDX-License-Identifier: Apache-2.0
"""LeakyReLU, and PReLU with one slope for all channels."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..fx import Call, captures, refuse
from .channel_prelu import ChannelPReLU
from .operator import Operator
from .pointwise import Pointwise, number

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LeakyReLU(Pointwise):
    """``x`` above zero, ``slope * x`` below; the slope is not negative."""

    slope: float

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.leaky_relu(x, self.slope)

    def describe(self) -> str:
        return f"LeakyReLU({self.slope:g})"


@dataclass(frozen=True)
class FoldedReLU(Pointwise):
    """``x`` above zero, ``slope * x`` below for a negative slope: no result is below zero."""

    slope: float

    is_increasing = False
    is_positive = True

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.leaky_relu(x, self.slope)

    def describe(self) -> str:
        return f"LeakyReLU({self.slope:g})"


def _with_slope(call: Call, slope: float) -> Operator:
    if not math.isfinite(slope):
        return refuse(call, f"must have a finite slope, has {slope}", "load trained weights")
    return LeakyReLU(slope) if slope >= 0 else FoldedReLU(slope)


@captures("leaky_relu.default")
def _leaky_relu(call: Call) -> Operator:
    return _with_slope(call, number(call.get(1, "negative_slope"), 0.01))


@captures("rrelu.default")
def _rrelu(call: Call) -> Operator:
    """Random slopes are for training; in evaluation it is their mean."""
    refused = call.refuses_training(3)
    if refused is not None:
        return refused
    low, high = number(call.get(1, "lower"), 1 / 8), number(call.get(2, "upper"), 1 / 3)
    return _with_slope(call, (low + high) / 2)


@captures("prelu.default")
def _prelu(call: Call) -> Operator:
    slopes = call.array(1, "weight")
    if slopes is None:
        return refuse(call, "must have constant slopes", "use nn.PReLU")
    if np.ptp(slopes) == 0:
        return _with_slope(call, float(slopes.flat[0]))
    return ChannelPReLU(slopes.reshape(-1))
