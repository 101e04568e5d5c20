# SPDX-License-Identifier: Apache-2.0
"""Hardswish of MobileNetV3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hardswish(Pointwise):
    """``x * clamp(x + 3, 0, 6) / 6``."""

    is_increasing = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.hardswish(x)


@captures("hardswish.default")
def _hardswish(call: Call) -> Operator:
    return Hardswish()
