# SPDX-License-Identifier: Apache-2.0
"""Batch normalization with fixed statistics: the running ones, whatever mode the call is in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..fx import Call, captures, refuse
from .convolution import Conv
from .operator import Finding, FloatArray, Operand, Operator, Shape, find_infinite

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class BatchNorm(Operator):
    """As in inference: ``y[c] = scale[c] * x[c] + offset[c]``; both (C,)."""

    scale: FloatArray
    offset: FloatArray

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_infinite({"scale": self.scale, "offset": self.offset})
        if operands[0].is_flattened:
            yield (
                "batch norm over a flattened image has a factor per position",
                "put it before the flattening, or after the dense layer",
            )

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        (x,) = inputs
        scale, offset = x.new_tensor(self.scale), x.new_tensor(self.offset)
        return x * scale[:, None, None] + offset[:, None, None]

    def depthwise(self) -> Conv:
        """The same as a 1 x 1 convolution, for a batch norm that folds into no other layer."""
        return Conv(self.scale.reshape(-1, 1, 1, 1), self.offset, groups=len(self.scale))


@captures(
    "batch_norm.default",
    "_native_batch_norm_legit.default",
    "_native_batch_norm_legit_functional.default",
    "_native_batch_norm_legit_no_training.default",
)
def _batch_norm(call: Call) -> Operator:
    mean, var = call.array(3, "running_mean"), call.array(4, "running_var")
    if mean is None or var is None:
        return refuse(call, "has no running statistics", "train with track_running_stats=True")
    refused = None if "no_training" in call.target else call.refuses_training(5)
    if refused is not None:
        return refused
    gamma, beta = call.array(1, "weight"), call.array(2, "bias")
    eps = call.get(6 if "no_training" in call.target else 7, "eps", 1e-5)
    with np.errstate(invalid="ignore"):  # the check reports what is not finite
        scale = (1.0 if gamma is None else gamma) / np.sqrt(var + eps)
    return BatchNorm(scale, (0.0 if beta is None else beta) - mean * scale)
