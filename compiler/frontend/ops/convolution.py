# SPDX-License-Identifier: Apache-2.0
"""Grouped convolution in two dimensions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stemcore.golden.spec.windows import window_shape

from ..fx import Call, captures, line, pair, refuse
from .operator import Finding, FloatArray, Operand, Operator, Pair, Shape, find_infinite

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Conv(Operator):
    """Grouped convolution; weight (O, C / groups, K_y, K_x), bias (O,).

    ``step`` (O,): of a quantized model, what one integer of a channel's weights is worth.
    """

    weight: FloatArray
    bias: FloatArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    step: FloatArray | None = None

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return convolution_shape(sources[0], self.weight, self.stride, self.padding)

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_unusable(self.weight, self.bias)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        (x,) = inputs
        weight, bias = x.new_tensor(self.weight), x.new_tensor(self.bias)
        return F.conv2d(x, weight, bias, self.stride, self.padding, 1, self.groups)

    def on_channels(self, first: int, stop: int) -> "Conv | None":
        """None where the channels begin or end within a group."""
        group_in, group_out = self.weight.shape[1], len(self.weight) // self.groups
        if first % group_in or stop % group_in:
            return None
        outputs = slice(first // group_in * group_out, stop // group_in * group_out)
        return replace(
            self,
            weight=self.weight[outputs],
            bias=self.bias[outputs],
            groups=(stop - first) // group_in,
            step=None if self.step is None else self.step[outputs],
        )


def convolution_shape(source: Shape, weight: FloatArray, stride: Pair, padding: Pair) -> Shape:
    """Output shape of a convolution over a source of shape (C, H, W)."""
    channels, _, ky, kx = weight.shape
    return (channels, *window_shape(source[1:], (ky, kx), stride, padding))


def find_unusable(weight: FloatArray, bias: FloatArray) -> Iterator[Finding]:
    """Findings for weights and a bias that are not finite."""
    yield from find_infinite({"weights": weight, "bias": bias})


def convolution(
    call: Call, weight: FloatArray | None, bias: FloatArray | None, rest: Any
) -> Operator:
    """The operator of a call. ``rest``: stride, padding, dilation, groups."""
    stride, padding, dilation, groups = rest
    if weight is None or weight.ndim != 4:
        return refuse(call, "must have constant weights over rows and columns", "use nn.Conv2d")
    stride, (dy, dx) = pair(stride), pair(dilation)
    if (dy, dx) != (1, 1):
        o, i, ky, kx = weight.shape
        stuffed = np.zeros((o, i, (ky - 1) * dy + 1, (kx - 1) * dx + 1))
        stuffed[:, :, ::dy, ::dx] = weight
        weight = stuffed
    if isinstance(padding, str):
        if padding == "same":
            # torch pads an even kernel more behind; a leading row of zeros makes both sides equal.
            weight = np.pad(weight, ((0, 0), (0, 0), *(((k + 1) % 2, 0) for k in weight.shape[2:])))
            padding = [weight.shape[2] // 2, weight.shape[3] // 2]
        else:
            padding = [0, 0]
    bias = np.zeros(weight.shape[0]) if bias is None else bias
    step = call.step(1, "weight", 0, len(weight))
    return Conv(weight, bias, stride, pair(padding, (0, 0)), groups, step)


@captures("conv2d.default", "conv2d.padding")
def _conv2d(call: Call) -> Operator:
    rest = [call.get(3, "stride", 1), call.get(4, "padding", 0)]
    rest += [call.get(5, "dilation", 1), call.get(6, "groups", 1)]
    return convolution(call, call.array(1, "weight"), call.array(2, "bias"), rest)


@captures("conv1d.default", "conv1d.padding")
def _conv1d(call: Call) -> Operator:
    weight, padding = call.array(1, "weight"), call.get(4, "padding", 0)
    rest: list[Any] = [(1, line(call.get(3, "stride")))]
    rest += [padding if isinstance(padding, str) else (0, line(padding, 0))]
    rest += [(1, line(call.get(5, "dilation"))), call.get(6, "groups", 1)]
    image = None if weight is None else weight[:, :, None, :]
    return convolution(call, image, call.array(2, "bias"), rest)
