# SPDX-License-Identifier: Apache-2.0
"""Sums with a constant that differs between positions, such as an embedding of these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .operator import Finding, FloatArray, Operand, Operator, Shape, find_infinite

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Offset(Operator):
    """``x + offset``; offset (C, H, W)."""

    offset: FloatArray

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_infinite({"constant": self.offset})
        if operands[0].is_flattened:
            yield (
                "a constant is added to a flattened image",
                "add it before the flattening, or behind the dense layer",
            )

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return inputs[0] + inputs[0].new_tensor(self.offset)


@dataclass(frozen=True)
class One(Operator):
    """A neuron whose value is 1, whatever its operand is."""

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return 1, 1, 1

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return inputs[0].new_ones(len(inputs[0]), 1, 1, 1)


def split_offset(offset: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A constant (C, H, W) as a bias (C,) and what is left of it, (C, 1, H, W).

    The rest is as small as can be, since its weights have 8 bits.
    """
    bias = (offset.max(axis=(1, 2)) + offset.min(axis=(1, 2))) / 2
    rest: FloatArray = (offset - bias[:, None, None])[:, None]
    return bias, np.where(np.abs(rest) < 1e-12 * np.abs(offset).max(), 0.0, rest)
