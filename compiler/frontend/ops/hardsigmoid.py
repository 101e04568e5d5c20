# SPDX-License-Identifier: Apache-2.0
"""Hardsigmoid of MobileNetV3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hardsigmoid(Pointwise):
    """``clamp(x + 3, 0, 6) / 6``."""

    is_positive = True

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.hardsigmoid(x)


@captures("hardsigmoid.default")
def _hardsigmoid(call: Call) -> Operator:
    return Hardsigmoid()
