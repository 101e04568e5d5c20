# SPDX-License-Identifier: Apache-2.0
"""Absolute value."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Absolute(Pointwise):
    """``|x|``."""

    is_increasing = False
    is_positive = True

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x.abs()


@captures("abs.default")
def _absolute(call: Call) -> Operator:
    return Absolute()
