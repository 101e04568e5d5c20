# SPDX-License-Identifier: Apache-2.0
"""Operators that move values and compute none: flattening, concatenation, and what does nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fx import Call, captures, refuse
from .operator import Operator, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Flatten(Operator):
    """(C, H, W) to (C * H * W, 1, 1), rows first.

    ``order`` (C * H * W,), if there is one, says from which place of that order each value comes.
    """

    order: NDArray[np.int64] | None = None

    is_population = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return math.prod(sources[0]), 1, 1

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        flat = inputs[0].flatten(1)
        return (flat if self.order is None else flat[:, self.order])[:, :, None, None]

    def on_channels(self, first: int, stop: int) -> "Flatten | None":
        return self if self.order is None else None


@dataclass(frozen=True)
class Concat(Operator):
    """Channels of tensors of one height and width, one after another."""

    is_population = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sum(source[0] for source in sources), *sources[0][1:]

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        import torch

        return torch.cat(list(inputs), 1)


@captures("cat.default", "concat.default")
def _concat(call: Call) -> Operator | None:
    tensors = call.fx_node.args[0]
    if len(set(tensors)) != len(call.sources):
        return refuse(
            call, "must join computed tensors, one is constant", "put it into the next layer's bias"
        )
    rank = len(call.fx_node.meta["val"].shape)
    if call.get(1, "dim", 0) not in (1, 1 - rank):
        return refuse(call, "must join channels", "use dim=1")
    return Concat() if len(tensors) > 1 else None


@captures(
    "dropout.default",
    "feature_dropout.default",
    "alpha_dropout.default",
    "feature_alpha_dropout.default",
    "native_dropout.default",
)
def _drop(call: Call) -> Operator | None:
    return call.refuses_training(2, "train")
