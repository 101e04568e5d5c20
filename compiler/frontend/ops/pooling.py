# SPDX-License-Identifier: Apache-2.0
"""Max and average pooling, over windows of a fixed size or to an output of a fixed size."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stemcore.golden.spec.windows import window_shape

from ..fx import Call, captures, line, pair, refuse
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


@captures("max_pool1d.default", "max_pool1d_with_indices.default")
def _max_pool1d(call: Call) -> Operator:
    kernel = line(call.get(1, "kernel_size"))
    pool = MaxPool(
        (1, kernel),
        (1, line(call.get(2, "stride"), kernel)),
        (0, line(call.get(3, "padding"), 0)),
    )
    if line(call.get(4, "dilation")) != 1:
        return refuse(call, "must have dilation 1", "use a larger kernel")
    return _pool_or_refusal(call, pool)


@captures("avg_pool1d.default")
def _avg_pool1d(call: Call) -> Operator:
    kernel = line(call.get(1, "kernel_size"))
    stride, padding = line(call.get(2, "stride"), kernel), line(call.get(3, "padding"), 0)
    if padding and not call.get(5, "count_include_pad", True):
        return _refuse_divisors(call)
    pool = AveragePool((1, kernel), (1, stride), (0, padding), kernel)
    return _pool_or_refusal(call, pool)


def _refuse_divisors(call: Call) -> Operator:
    return refuse(
        call,
        "has count_include_pad=False with padding: windows would have different divisors",
        "set count_include_pad=True or padding=0",
    )


@captures("avg_pool2d.default")
def _avg_pool(call: Call) -> Operator:
    kernel = pair(call.get(1, "kernel_size"))
    stride, padding = pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    divisor = call.get(6, "divisor_override") or kernel[0] * kernel[1]
    if padding != (0, 0) and not call.get(5, "count_include_pad", True):
        return _refuse_divisors(call)
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


@captures("adaptive_avg_pool1d.default")
def _adaptive_avg_pool1d(call: Call) -> Operator:
    return _to_size(call, (1, line(call.get(1, "output_size"))), AveragePool)


@captures("adaptive_max_pool1d.default")
def _adaptive_max_pool1d(call: Call) -> Operator:
    return _to_size(call, (1, line(call.get(1, "output_size"))), MaxPool)


@captures("mean.dim")
def _mean(call: Call) -> Operator:
    return _over_positions(call, "mean", AveragePool)


@captures("amax.default")
def _amax(call: Call) -> Operator:
    return _over_positions(call, "maximum", MaxPool)


def _over_positions(call: Call, what: str, kind: type) -> Operator:
    """A pooling over all positions: the call must reduce every axis but batch and channels."""
    rank = len(call.fx_node.args[0].meta["val"].shape)
    dims = call.get(1, "dim") or []
    axes = sorted(axis % rank for axis in ([dims] if isinstance(dims, int) else dims))
    if rank < 3 or axes != list(range(2, rank)):
        return refuse(
            call,
            f"must be the {what} over all positions of each channel, is over axes {axes} of {rank}",
            "reduce height and width together, dim=(2, 3)",
        )
    return _to_size(call, 1, kind)


def _to_size(call: Call, size: Any, kind: type) -> Operator:
    """A pooling with output ``size``, as torch's adaptive ones, whose windows are all alike."""
    source, sizes = call.sources[0], pair(size)
    kernel: list[int] = []
    stride: list[int] = []
    for length, n in zip(source[1:], sizes, strict=True):
        # Window i reaches from floor(i * length / n) to ceil((i + 1) * length / n).
        starts = [i * length // n for i in range(n)]
        lengths = {-(-(i + 1) * length // n) - starts[i] for i in range(n)}
        steps = {b - a for a, b in pairwise(starts)}
        if len(lengths) > 1 or len(steps) > 1:
            return refuse(
                call,
                f"must have windows of one size at one distance, got {n} of {length} "
                f"{'rows' if not kernel else 'columns'}, which it cuts unevenly",
                "choose an output size that divides the input, or a pooling with a fixed kernel",
            )
        kernel.append(lengths.pop())
        stride.append(steps.pop() if steps else length)
    window = (kernel[0], kernel[1])
    if kind is MaxPool:
        return MaxPool(window, (stride[0], stride[1]))
    return AveragePool(window, (stride[0], stride[1]), (0, 0), window[0] * window[1])
