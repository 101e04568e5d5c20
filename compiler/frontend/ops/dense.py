# SPDX-License-Identifier: Apache-2.0
"""Dense (fully connected) layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fx import Call, captures, refuse
from .convolution import Conv, find_unusable
from .operator import Finding, FloatArray, IntArray, Operand, Operator, Placed, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Linear(Operator):
    """Dense layer over a flat tensor; weight (O, I), bias (O,), ``step`` as of ``Conv``."""

    weight: FloatArray
    bias: FloatArray
    step: FloatArray | None = None

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return len(self.weight), 1, 1

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_unusable(self.weight, self.bias)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        (x,) = inputs
        y = F.linear(x.flatten(1), x.new_tensor(self.weight), x.new_tensor(self.bias))
        return y[:, :, None, None]

    def in_order(self, order: "NDArray[np.int64] | None") -> "Linear":
        """The same layer reading its operand before it was put into ``order``."""
        if order is None:
            return self
        weight = np.empty_like(self.weight)
        weight[:, order] = self.weight
        return replace(self, weight=weight)

    def over_image(self, source: Shape) -> Conv:
        """The same layer reading the image (C, H, W) that its operand was flattened from."""
        return Conv(self.weight.reshape(-1, *source), self.bias, step=self.step)


def _dense(call: Call, weight: FloatArray | None, bias: FloatArray | None) -> Operator:
    if weight is None or weight.ndim != 2:
        return refuse(call, "must have a constant weight matrix", "use nn.Linear")
    if call.sources[0] != (weight.shape[1], 1, 1):
        return refuse(call, f"must read a flat tensor, got {call.sources[0]}", "flatten it first")
    step = call.step(1, "weight", 0, len(weight)) if "linear" in call.target else None
    return Linear(weight, np.zeros(weight.shape[0]) if bias is None else bias, step)


@captures("linear.default")
def _linear(call: Call) -> Operator:
    return _dense(call, call.array(1, "weight"), call.array(2, "bias"))


@captures("addmm.default")
def _addmm(call: Call) -> Operator:
    weight = call.array(2, "mat2")
    return _dense(call, None if weight is None else weight.T, call.array(0, "input"))


def over_last_axis(places: IntArray, source: Shape, dense: Linear) -> Placed | None:
    """A dense layer over the channels at each position, as a 1 x 1 convolution; None where the
    features are not that.

    places : int64 (positions, features)
        Of every feature in the flattened source (C, H, W).
    """
    channels, rows, columns = np.unravel_index(places, source)
    same_place = (rows == rows[:, :1]).all() and (columns == columns[:, :1]).all()
    if not same_place or (channels != channels[:1]).any():
        return None
    if len(np.unique(channels[0])) < channels.shape[1]:
        return None
    n_outputs = len(dense.weight)
    kernel = np.zeros((n_outputs, source[0], 1, 1))
    kernel[:, channels[0], 0, 0] = dense.weight
    shape = n_outputs, source[1], source[2]
    at = np.arange(n_outputs), rows[:, :1], columns[:, :1]
    conv = Conv(kernel, dense.bias, step=dense.step)
    return Placed(conv, shape, np.ravel_multi_index(np.broadcast_arrays(*at), shape))
