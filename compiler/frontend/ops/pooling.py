# SPDX-License-Identifier: Apache-2.0
"""Max and average pooling over windows of one size at one distance, and max pooling over others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemcore.golden.spec.windows import Spans, window_shape

from ..fx import Call, captures, line, pair, refuse
from .operator import Operator, Pair, Shape
from .resample import Resample, average_matrix
from .windows import Windows, adaptive_windows, pool_windows

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
class UnevenMaxPool(Operator):
    """Maximum over windows of any sizes: all pairs of the spans ``rows`` and ``columns``.

    Spans are (start, stop) within the image; neither starts nor stops decrease.
    """

    rows: Spans
    columns: Spans

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0][0], len(self.rows), len(self.columns)

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        import torch

        (x,) = inputs
        strips = torch.stack([x[:, :, a:b].amax(2) for a, b in self.rows], 2)
        return torch.stack([strips[..., a:b].amax(3) for a, b in self.columns], 3)

    def on_channels(self, first: int, stop: int) -> "UnevenMaxPool":
        return self


MAX_POOLINGS = (MaxPool, UnevenMaxPool)


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


def max_pooling(rows: Windows, columns: Windows) -> Operator:
    """Maximum over windows."""
    kernel, stride, padding = _regular(rows, columns)
    if kernel is None or stride is None or padding is None:
        return UnevenMaxPool(rows.spans, columns.spans)
    return MaxPool(kernel, stride, padding)


def average_pooling(rows: Windows, columns: Windows, divisor: int | None = None) -> Operator:
    """Average over windows: divided by what they count, or by ``divisor``."""
    kernel, stride, padding = _regular(rows, columns)
    if kernel is not None and stride is not None and padding is not None:
        counts = {y * x for y in rows.counts for x in columns.counts}
        if divisor is not None or len(counts) == 1:
            return AveragePool(kernel, stride, padding, divisor or counts.pop())
    counted = (rows, columns) if divisor is None else (rows.alike(divisor), columns.alike(1))
    return Resample(*(average_matrix(windows) for windows in counted))


def _regular(rows: Windows, columns: Windows) -> tuple[Pair | None, Pair | None, Pair | None]:
    """Kernel, stride and padding of windows that are at one distance in both axes."""
    if rows.window is None or columns.window is None:
        return None, None, None
    kernel, stride, padding = zip(rows.window, columns.window, strict=True)
    return kernel, stride, padding


@captures("max_pool2d.default", "max_pool2d_with_indices.default")
def _max_pool(call: Call) -> Operator:
    kernel = pair(call.get(1, "kernel_size"))
    stride, padding = pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    return _max(call, kernel, stride, padding, pair(call.get(4, "dilation")))


@captures("max_pool1d.default", "max_pool1d_with_indices.default")
def _max_pool1d(call: Call) -> Operator:
    kernel = line(call.get(1, "kernel_size"))
    stride, padding = line(call.get(2, "stride"), kernel), line(call.get(3, "padding"), 0)
    dilation = (1, line(call.get(4, "dilation")))
    return _max(call, (1, kernel), (1, stride), (0, padding), dilation)


def _max(call: Call, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Operator:
    if dilation != (1, 1):
        return refuse(call, "must have dilation 1", "use a larger kernel")
    return max_pooling(*_windows(call, kernel, stride, padding))


@captures("avg_pool2d.default")
def _avg_pool(call: Call) -> Operator:
    kernel = pair(call.get(1, "kernel_size"))
    stride, padding = pair(call.get(2, "stride"), kernel), pair(call.get(3, "padding"), (0, 0))
    return _average(call, kernel, stride, padding, call.get(6, "divisor_override"))


@captures("avg_pool1d.default")
def _avg_pool1d(call: Call) -> Operator:
    kernel = line(call.get(1, "kernel_size"))
    stride, padding = line(call.get(2, "stride"), kernel), line(call.get(3, "padding"), 0)
    return _average(call, (1, kernel), (1, stride), (0, padding), None)


def _average(
    call: Call, kernel: Pair, stride: Pair, padding: Pair, divisor: int | None
) -> Operator:
    if divisor is not None and divisor < 1:
        return refuse(call, f"must have a positive divisor, has {divisor}", "remove it")
    counts_padding = bool(call.get(5, "count_include_pad", True))
    return average_pooling(*_windows(call, kernel, stride, padding, counts_padding), divisor)


def _windows(
    call: Call, kernel: Pair, stride: Pair, padding: Pair, counts_padding: bool = True
) -> tuple[Windows, Windows]:
    """Windows over rows and columns; as many as torch says there are, which rounds up or down."""
    rows, columns = (
        pool_windows(
            call.sources[0][1 + i],
            call.shape[1 + i],
            kernel[i],
            stride[i],
            padding[i],
            counts_padding=counts_padding,
        )
        for i in (0, 1)
    )
    return rows, columns


@captures("adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default")
def _adaptive_avg_pool(call: Call) -> Operator:
    return average_pooling(*_to_size(call))


@captures("adaptive_max_pool2d.default")
def _adaptive_max_pool(call: Call) -> Operator:
    return max_pooling(*_to_size(call))


@captures("adaptive_avg_pool1d.default")
def _adaptive_avg_pool1d(call: Call) -> Operator:
    return average_pooling(*_to_size(call))


@captures("adaptive_max_pool1d.default")
def _adaptive_max_pool1d(call: Call) -> Operator:
    return max_pooling(*_to_size(call))


def _to_size(call: Call) -> tuple[Windows, Windows]:
    """Windows of torch's adaptive poolings."""
    rows, columns = (
        adaptive_windows(n, m) for n, m in zip(call.sources[0][1:], call.shape[1:], strict=True)
    )
    return rows, columns
