# SPDX-License-Identifier: Apache-2.0
"""Softplus."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise, number

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Softplus(Pointwise):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x`` exceeds ``threshold``."""

    beta: float = 1.0
    threshold: float = 20.0

    is_positive = True

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.softplus(x, self.beta, self.threshold)


@captures("softplus.default")
def _softplus(call: Call) -> Operator:
    return Softplus(number(call.get(1, "beta"), 1.0), number(call.get(2, "threshold"), 20.0))
