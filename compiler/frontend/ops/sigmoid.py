# SPDX-License-Identifier: Apache-2.0
"""The logistic function, inside a network; at its end the host computes it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """``1 / (1 + exp(-x))``."""

    is_positive = True

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x.sigmoid()


@captures("sigmoid.default")
def _sigmoid(call: Call) -> Operator:
    return Sigmoid()
