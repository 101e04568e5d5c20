# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic tangent."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Tanh(Pointwise):
    """``tanh(x)``."""

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x.tanh()

    def lowest(self, low: float) -> float:
        return math.tanh(low)


@captures("tanh.default")
def _tanh(call: Call) -> Operator:
    return Tanh()
