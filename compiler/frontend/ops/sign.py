# SPDX-License-Identifier: Apache-2.0
"""Sign."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .operator import Operator
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sign(Pointwise):
    """-1, 0 or 1."""

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x.sign()


@captures("sign.default")
def _sign(call: Call) -> Operator:
    return Sign()
