# SPDX-License-Identifier: Apache-2.0
"""ReLU and its relatives with an upper limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..fx import Call, captures, refuse
from .clip import Clip
from .operator import Operator, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Clamp(Operator):
    """``min(max(x, low), high)``; ReLU is ``low = 0`` and ``high = None`` (no upper limit)."""

    low: float = 0.0
    high: float | None = None

    is_pointwise = True

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        (x,) = inputs
        return x.clamp(self.low, self.high)

    def lowest(self, low: float) -> float:
        """A bound below the results for operands of ``low`` and more."""
        return 0.0

    def describe(self) -> str:
        """As a report shows it."""
        return "ReLU" if self.high is None else f"clamp to 0..{self.high:g}"

    def on_channels(self, first: int, stop: int) -> "Clamp":
        return self


@captures("relu.default")
def _relu(call: Call) -> Operator:
    return Clamp()


@captures("relu6.default")
def _relu6(call: Call) -> Operator:
    return Clamp(0.0, 6.0)


@captures("hardtanh.default")
def _hardtanh(call: Call) -> Operator:
    return _clamp(call, call.get(1, "min_val", -1), call.get(2, "max_val", 1))


@captures("clamp.default")
def _clamp_both(call: Call) -> Operator:
    return _clamp(call, call.get(1, "min"), call.get(2, "max"))


@captures("clamp_min.default")
def _clamp_min(call: Call) -> Operator:
    return _clamp(call, call.get(1, "min"), None)


@captures("clamp_max.default")
def _clamp_max(call: Call) -> Operator:
    return _clamp(call, None, call.get(1, "max"))


def _clamp(call: Call, low: Any, high: Any) -> Operator:
    """ReLU and ReLU6 are clamps of the soma's own; other limits take a table."""
    low = None if low is None or low == -math.inf else float(low)
    high = None if high is None or high == math.inf else float(high)
    if low == 0 and (high is None or high > 0):
        return Clamp(0.0, high)
    if not all(limit is None or math.isfinite(limit) for limit in (low, high)):
        return refuse(call, f"must have finite limits, got {low}..{high}", "use finite limits")
    return Clip(low, high)
