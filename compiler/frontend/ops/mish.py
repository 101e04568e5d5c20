# SPDX-License-Identifier: Apache-2.0
"""Mish."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Mish(Pointwise):
    """``x * tanh(log(1 + exp(x)))``."""

    is_increasing = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.mish(x)


@captures("mish.default")
def _mish(call: Call) -> Operator:
    return Mish()
