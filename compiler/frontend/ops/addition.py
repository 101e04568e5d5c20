# SPDX-License-Identifier: Apache-2.0
"""Sums and differences of tensors, and of tensors and constants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..fx import Call, captures
from .affine import per_channel, per_position, scaled
from .offset import Offset
from .operator import Finding, Operand, Operator, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Add(Operator):
    """``factors[0] * x + factors[1] * y`` for tensors of one shape; y is x where one came."""

    factors: tuple[float, float] = (1.0, 1.0)

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
        return inputs[0] * self.factors[0] + inputs[-1] * self.factors[1]


@captures("add.Tensor")
def _add(call: Call) -> Operator:
    return _sum(call, 1.0)


@captures("sub.Tensor")
def _sub(call: Call) -> Operator:
    return _sum(call, -1.0)


@captures("rsub.Scalar")
def _rsub(call: Call) -> Operator:
    constant = float(call.get(1, "other"))
    return scaled(call, -float(call.get(2, "alpha", 1)), constant)


def _sum(call: Call, sign: float) -> Operator:
    """The first argument plus ``sign * alpha`` times the second; one may be constant."""
    first, second = call.get(0, "self"), call.get(1, "other")
    factor = sign * float(call.get(2, "alpha", 1))
    is_doubled = first is second
    if len(call.sources) + is_doubled == 2:
        return Add((1.0, factor))
    if call.computes(first):
        constant = per_channel(call, second)
        image = per_position(call, second)
        if isinstance(constant, Operator) and image is not None:
            return Offset(image * factor)
        return constant if isinstance(constant, Operator) else scaled(call, 1.0, constant * factor)
    constant = per_channel(call, first)
    image = per_position(call, first)
    if isinstance(constant, Operator) and image is not None and factor == 1:
        return Offset(image)
    return constant if isinstance(constant, Operator) else scaled(call, factor, constant)
