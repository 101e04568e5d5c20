# SPDX-License-Identifier: Apache-2.0
"""ELU and its relatives SELU and CELU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures, refuse
from .operator import Operator
from .pointwise import Pointwise, number

if TYPE_CHECKING:
    import torch

# Of torch.nn.SELU, whose activations keep mean 0 and variance 1.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@dataclass(frozen=True)
class ELU(Pointwise):
    """``scale * x`` above zero, ``scale * alpha * (exp(rate * x) - 1)`` below; all positive."""

    alpha: float = 1.0
    scale: float = 1.0
    rate: float = 1.0

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        below = self.alpha * (self.rate * x.clamp(max=0)).expm1()
        return self.scale * (x.clamp(min=0) + below)


@captures("elu.default")
def _elu(call: Call) -> Operator:
    factors = [number(call.get(i, name), 1.0) for i, name in enumerate(_NAMES, 1)]
    if min(factors) <= 0:
        return refuse(call, f"must have positive constants, has {factors}", "use nn.ELU as it is")
    return ELU(*factors)


_NAMES = ("alpha", "scale", "input_scale")


@captures("selu.default")
def _selu(call: Call) -> Operator:
    return ELU(_SELU_ALPHA, _SELU_SCALE)


@captures("celu.default")
def _celu(call: Call) -> Operator:
    alpha = number(call.get(1, "alpha"), 1.0)
    if alpha <= 0:
        return refuse(call, f"must have a positive alpha, has {alpha}", "use nn.CELU as it is")
    return ELU(alpha, 1.0, 1.0 / alpha)
