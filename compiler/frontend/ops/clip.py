# SPDX-License-Identifier: Apache-2.0
"""Clamps whose lower limit is not zero: Hardtanh, clamp."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Clip(Pointwise):
    """``min(max(x, low), high)``; None: no limit."""

    low: float | None
    high: float | None

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x.clamp(self.low, self.high)

    def lowest(self, low: float) -> float:
        raised = low if self.low is None else max(low, self.low)
        return raised if self.high is None else min(raised, self.high)

    def describe(self) -> str:
        low = -math.inf if self.low is None else self.low
        return f"clamp to {low:g}..{math.inf if self.high is None else self.high:g}"
