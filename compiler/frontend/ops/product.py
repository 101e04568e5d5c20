# SPDX-License-Identifier: Apache-2.0
"""Products of two functions of one value, which are one function of it: ``x * sigmoid(x)``."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .clamp import Clamp
from .fake_quantize import FakeQuantize
from .operator import Finding, Operand, Operator, Shape, Unsupported
from .pointwise import Pointwise

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Product(Operator):
    """Value times value, as captured; ``refusal`` is what it becomes where the two are not
    functions of one value (:mod:`stemcore.compiler.frontend.passes.products`)."""

    refusal: Unsupported

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from self.refusal.find_problems(operands)


@dataclass(frozen=True)
class Affine(Pointwise):
    """``factor * x + offset``, between functions of one value."""

    factor: float
    offset: float

    is_increasing = False  # of a negative factor

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        return x * self.factor + self.offset

    def lowest(self, low: float) -> float:
        if self.factor == 0:
            return self.offset
        return low * self.factor + self.offset if self.factor > 0 else -math.inf

    def describe(self) -> str:
        return f"{self.factor:g} x {self.offset:+g}"


@dataclass(frozen=True)
class ProductOf(Pointwise):
    """The product of two chains of functions; an empty chain is the value itself."""

    left: tuple[Pointwise | Clamp | FakeQuantize, ...]
    right: tuple[Pointwise | Clamp | FakeQuantize, ...]

    is_increasing = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        factors = []
        for chain in (self.left, self.right):
            factor = x
            for function in chain:
                factor = function.run([factor])
            factors.append(factor)
        return factors[0] * factors[1]

    def lowest(self, low: float) -> float:
        if self.left == self.right:
            return 0.0
        bounds = [lowest_of(chain, low) for chain in (self.left, self.right)]
        return 0.0 if min(bounds) >= 0 else -math.inf

    def describe(self) -> str:
        sides = (", ".join(f.describe() for f in side) for side in (self.left, self.right))
        return " times ".join(f"({side or 'x'})" for side in sides)


def lowest_of(chain: Sequence[Pointwise | Clamp | FakeQuantize], low: float) -> float:
    """A bound below a chain's results for operands of ``low`` and more."""
    for function in chain:
        low = function.lowest(low)
    return low
