# SPDX-License-Identifier: Apache-2.0
"""PReLU with a slope for every channel: sums of a value and its positive part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .operator import Finding, FloatArray, Operand, Operator, Shape, find_infinite

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class ChannelPReLU(Operator):
    """``x`` above zero, ``slopes[c] * x`` below; (C,).

    A table is one for all channels. So the layers compute ``slope * x + (1 - slope) * relu(x)``
    (:mod:`stemcore.compiler.frontend.passes.expand`).
    """

    slopes: FloatArray

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_infinite({"slopes": self.slopes})
        if operands[0].is_flattened:
            yield (
                "PReLU over a flattened image has a slope per position",
                "put it before the flattening",
            )

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        (x,) = inputs
        return F.prelu(x, x.new_tensor(self.slopes))

    def on_channels(self, first: int, stop: int) -> "ChannelPReLU":
        return ChannelPReLU(self.slopes[first:stop])
