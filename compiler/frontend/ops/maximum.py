# SPDX-License-Identifier: Apache-2.0
"""The larger or smaller of two tensors, by a sum and a ReLU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures, refuse
from .operator import Finding, Operand, Operator, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Extreme(Operator):
    """``max(a, b) = b + relu(a - b)``, or ``min(a, b) = b - relu(b - a)``, value by value
    (:mod:`stemcore.compiler.frontend.passes.expand`)."""

    is_maximum: bool

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        first, last = operands[0].shape, operands[-1].shape
        if first != last:
            yield (
                f"both operands must have one shape, got {first} and {last}",
                "bring them to one shape with a 1 x 1 convolution",
            )
        if any(operand.is_flattened for operand in operands):
            yield "is taken of a flattened image", "take it before the flattening"

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        a, b = inputs
        return a.maximum(b) if self.is_maximum else a.minimum(b)


def _extreme(call: Call, is_maximum: bool) -> Operator:
    if len(call.sources) != 2:
        return refuse(
            call, "must have two computed tensors", "use clamp for the maximum with a number"
        )
    return Extreme(is_maximum)


@captures("maximum.default", "max.other")
def _maximum(call: Call) -> Operator:
    return _extreme(call, True)


@captures("minimum.default", "min.other")
def _minimum(call: Call) -> Operator:
    return _extreme(call, False)
