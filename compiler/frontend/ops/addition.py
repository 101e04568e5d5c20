# SPDX-License-Identifier: Apache-2.0
"""Residual addition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures, refuse
from .operator import Finding, Operand, Operator, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Add(Operator):
    """Sum of two tensors of one shape; of one tensor and itself where there is one operand."""

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        first, last = operands[0].shape, operands[-1].shape
        if first != last:
            yield (
                f"both operands of an addition must have one shape, got {first} and {last}",
                "bring them to one shape with a 1 x 1 convolution",
            )
        if any(operand.is_flattened for operand in operands):
            yield "a flattened image cannot be added to", "add before the flattening"

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return inputs[0] + inputs[-1]


@captures("add.Tensor")
def _add(call: Call) -> Operator:
    is_doubled = call.fx_node.args[0] is call.fx_node.args[1]
    if len(call.sources) + is_doubled != 2 or call.get(2, "alpha", 1) != 1:
        return refuse(
            call, "must add two tensors", "fold constants into the bias of the layer before"
        )
    return Add()
