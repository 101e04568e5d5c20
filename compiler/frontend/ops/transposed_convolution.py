# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution, whose stride is that of its outputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fx import Call, captures, line, pair, refuse
from .convolution import convolution, find_unusable
from .operator import Finding, FloatArray, Operand, Operator, Pair, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class TransposedConv(Operator):
    """Grouped transposed convolution; weight (O, C / groups, K_y, K_x), bias (O,).

    Position y reaches the outputs ``y * stride - padding + k``. ``extra`` rows and columns behind
    the last are added (torch's ``output_padding``). Weights have the order of a convolution's,
    outputs first. ``step`` as of ``Conv``.
    """

    weight: FloatArray
    bias: FloatArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    extra: Pair = (0, 0)
    groups: int = 1
    step: FloatArray | None = None

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        height, width = (
            (sources[0][1 + i] - 1) * self.stride[i]
            - 2 * self.padding[i]
            + self.weight.shape[2 + i]
            + self.extra[i]
            for i in (0, 1)
        )
        return len(self.weight), height, width

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield from find_unusable(self.weight, self.bias)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        (x,) = inputs
        weight, bias = x.new_tensor(by_source(self.weight, self.groups)), x.new_tensor(self.bias)
        # Rows that no weight reaches hold the bias; torch allows fewer of them than the stride.
        full = F.conv_transpose2d(x, weight, None, self.stride, 0, 0, self.groups)
        (top, left), (_, height, width) = (
            self.padding,
            self.output_shape([(x.shape[1], x.shape[2], x.shape[3])]),
        )
        rest = (0, max(0, left + width - full.shape[3]), 0, max(0, top + height - full.shape[2]))
        cut = F.pad(full, rest)[:, :, top : top + height, left : left + width]
        return cut + bias[:, None, None]

    def on_channels(self, first: int, stop: int) -> "TransposedConv | None":
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


def by_source(weight: FloatArray, groups: int) -> FloatArray:
    """(O, C / groups, ..) as torch has weights of transposed convolutions: (C, O / groups, ..).

    Its own inverse, but for the sizes.
    """
    n_out, n_in, *kernel = weight.shape
    grouped = weight.reshape(groups, n_out // groups, n_in, *kernel)
    turned: FloatArray = grouped.swapaxes(1, 2).reshape(groups * n_in, n_out // groups, *kernel)
    return turned


def transposed_convolution(
    call: Call, weight: FloatArray | None, bias: FloatArray | None, rest: Any
) -> Operator:
    """The operator of a call; weight (C, O / groups, K_y, K_x) as torch has it.

    ``rest``: stride, padding, output padding, groups, dilation.
    """
    stride, padding, extra, groups, dilation = rest
    if weight is None or weight.ndim != 4:
        return refuse(
            call, "must have constant weights over rows and columns", "use nn.ConvTranspose2d"
        )
    dy, dx = pair(dilation)
    if (dy, dx) != (1, 1):
        n_in, n_out, ky, kx = weight.shape
        spread = np.zeros((n_in, n_out, (ky - 1) * dy + 1, (kx - 1) * dx + 1))
        spread[:, :, ::dy, ::dx] = weight
        weight = spread
    weight = by_source(weight, groups)
    return TransposedConv(
        weight,
        np.zeros(len(weight)) if bias is None else bias,
        pair(stride),
        pair(padding, (0, 0)),
        pair(extra, (0, 0)),
        groups,
        call.step(1, "weight", 1 if groups == 1 else -1, len(weight)),
    )


@captures("conv_transpose2d.input")
def _conv_transpose2d(call: Call) -> Operator:
    rest = [call.get(3, "stride", 1), call.get(4, "padding", 0), call.get(5, "output_padding", 0)]
    rest += [call.get(6, "groups", 1), call.get(7, "dilation", 1)]
    return transposed_convolution(call, call.array(1, "weight"), call.array(2, "bias"), rest)


@captures("conv_transpose1d.default")
def _conv_transpose1d(call: Call) -> Operator:
    weight = call.array(1, "weight")
    rest: list[Any] = [(1, line(call.get(3, "stride")))]
    rest += [(0, line(call.get(i, name), 0)) for i, name in ((4, "padding"), (5, "output_padding"))]
    rest += [call.get(6, "groups", 1), (1, line(call.get(7, "dilation")))]
    image = None if weight is None else weight[:, :, None, :]
    return transposed_convolution(call, image, call.array(2, "bias"), rest)


@captures("convolution.default")
def _convolution(call: Call) -> Operator:
    """What decomposed programs have for all of them."""
    weight, bias, args = call.array(1, "weight"), call.array(2, "bias"), call.fx_node.args
    if call.get(6, "transposed"):
        rest = (args[3], args[4], args[7], args[8], args[5])
        return transposed_convolution(call, weight, bias, rest)
    return convolution(call, weight, bias, (args[3], args[4], args[5], args[8]))
