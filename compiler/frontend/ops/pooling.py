# SPDX-License-Identifier: Apache-2.0
"""Max and average pooling, over windows of a fixed size or to an output of a fixed size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stemcore.golden.spec.windows import window_shape

from ..fx import Call, captures, pair, refuse
from .operator import Operator, Pair, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MaxPool(Operator):
    """Maximum; windows are clipped at the border."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return _pool_shape(sources[0], self)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.max_pool2d(inputs[0], self.kernel, self.stride, self.padding)

    def on_channels(self, first: int, stop: int) -> "MaxPool":
        return self


@dataclass(frozen=True)
class AveragePool(Operator):
    """Sum over the window, zeros at the border, divided by ``divisor``."""

    kernel: Pair
    stride: Pair
    padding: Pair
    divisor: int

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return _pool_shape(sources[0], self)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        return F.avg_pool2d(
            inputs[0], self.kernel, self.stride, self.padding, divisor_override=self.divisor
        )

    def on_channels(self, first: int, stop: int) -> "AveragePool":
        return self


def _pool_shape(source: Shape, pool: MaxPool | AveragePool) -> Shape:
    return (source[0], *window_shape(source[1:], pool.kernel, pool.stride, pool.padding))


@captures("max_pool2d.default", "max_pool2d_with_indices.default")
def _max_pool(call: Call) -> Operator:
    kernel = pair(call.get(1, "kernel_size"))
    pool = MaxPool(
        kernel, pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    )
    if pair(call.get(4, "dilation")) != (1, 1):
        return refuse(call, "must have dilation 1", "use a larger kernel")
    return _pool_or_refusal(call, pool)


@captures("avg_pool2d.default")
def _avg_pool(call: Call) -> Operator:
    kernel = pair(call.get(1, "kernel_size"))
    stride, padding = pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    divisor = call.get(6, "divisor_override") or kernel[0] * kernel[1]
    if padding != (0, 0) and not call.get(5, "count_include_pad", True):
        return refuse(
            call,
            "has count_include_pad=False with padding: windows would have different divisors",
            "set count_include_pad=True or padding=0",
        )
    if divisor < 1:
        return refuse(call, f"must have a positive divisor, has {divisor}", "remove it")
    return _pool_or_refusal(call, AveragePool(kernel, stride, padding, divisor))


def _pool_or_refusal(call: Call, pool: MaxPool | AveragePool) -> Operator:
    if pool.output_shape(call.sources) != call.shape:
        return refuse(
            call,
            "has ceil_mode=True and windows that reach past the border",
            "set ceil_mode=False, or pad the input",
        )
    return pool


@captures("adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default")
def _adaptive_avg_pool(call: Call) -> Operator:
    return _to_size(call, call.get(1, "size"), AveragePool)


@captures("adaptive_max_pool2d.default")
def _adaptive_max_pool(call: Call) -> Operator:
    return _to_size(call, call.get(1, "size"), MaxPool)


@captures("mean.dim")
def _mean(call: Call) -> Operator:
    rank = len(call.fx_node.args[0].meta["val"].shape)
    axes = sorted(axis % rank for axis in (call.get(1, "dim") or []))
    if rank != 4 or axes != [2, 3]:
        return refuse(call, "must be the mean over height and width", "use dim=(2, 3)")
    return _to_size(call, 1, AveragePool)


def _to_size(call: Call, size: Any, kind: type) -> Operator:
    """A pooling with output ``size``, whose windows neither overlap nor leave gaps."""
    source, (height, width) = call.sources[0], pair(size)
    if source[1] % height or source[2] % width:
        return refuse(
            call,
            f"must have an output size that divides the input, got {height} x {width} of "
            f"{source[1]} x {source[2]}",
            "choose a divisor, or a pooling with a fixed kernel",
        )
    kernel = (source[1] // height, source[2] // width)
    if kind is MaxPool:
        return MaxPool(kernel, kernel)
    return AveragePool(kernel, kernel, (0, 0), kernel[0] * kernel[1])
