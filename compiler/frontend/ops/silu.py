# SPDX-License-Identifier: Apache-2.0
"""SiLU, also called swish."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SiLU(Pointwise):
    """``x / (1 + exp(-x))``."""

    is_increasing = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.silu(x)


@captures("silu.default")
def _silu(call: Call) -> Operator:
    return SiLU()
