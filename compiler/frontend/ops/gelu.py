# SPDX-License-Identifier: Apache-2.0
"""GELU, exact or by the hyperbolic tangent."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class GELU(Pointwise):
    """``x`` times the normal distribution's share below ``x``; ``approximate`` as in torch."""

    approximate: str = "none"

    is_increasing = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.gelu(x, approximate=self.approximate)


@captures("gelu.default")
def _gelu(call: Call) -> Operator:
    return GELU(str(call.get(1, "approximate", "none")))
