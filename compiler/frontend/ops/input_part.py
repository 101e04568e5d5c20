# SPDX-License-Identifier: Apache-2.0
"""One of several inputs, as a span of the channels of all and a corner of their positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .operator import Operator, Pair, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ReadInput(Operator):
    """``y = x[channels[0] : channels[1], : size[0], : size[1]]`` of the network's input.

    No neurons: layers that read it read the input itself in the end
    (:mod:`stemcore.compiler.frontend.passes.input_parts`).
    """

    channels: Pair
    size: Pair

    is_population = False
    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return self.channels[1] - self.channels[0], *self.size

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return inputs[0][:, slice(*self.channels), : self.size[0], : self.size[1]]
