# SPDX-License-Identifier: Apache-2.0
"""Rounding to integers of a scale and back, as graphs of quantized models hold it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..fx import Call, captures, refuse
from .operator import Operator, Shape, Unsupported

if TYPE_CHECKING:
    import torch

MAX_BITS = 8
REQUANTIZE = (
    "quantize with zero-point 0, unsigned after ReLU and signed elsewhere, as StemQuantizer of "
    "stemcore.pt2e does for prepare_pt2e and prepare_qat_pt2e"
)


@dataclass(frozen=True)
class FakeQuantize(Operator):
    """``clamp(round_half_even(x / scale), low, high) * scale``, one scale for all channels.

    ``low`` is 0 for unsigned integers, and for signed ones ``-high`` or one less.
    """

    scale: float
    low: int
    high: int

    @property
    def is_signed(self) -> bool:
        """Whether integers below zero are admitted."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Of the integers, at least 2."""
        return max(2, self.high.bit_length() + self.is_signed)

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        (x,) = inputs
        return (x / self.scale).round().clamp(self.low, self.high) * self.scale

    def lowest(self, low: float) -> float:
        """A bound below the results for operands of ``low`` and more."""
        return max(low - self.scale / 2, self.low * self.scale)

    def describe(self) -> str:
        """As a report shows it."""
        return f"rounding to {self.scale:g}"

    def on_channels(self, first: int, stop: int) -> "FakeQuantize":
        return self


def fake_quantize(
    where: str, scale: float, zero_point: int, low: int, high: int
) -> FakeQuantize | Unsupported:
    """The operator, or why the hardware has no such integers."""
    if zero_point != 0:
        centred = " (symmetric, but unsigned)" if abs(zero_point - (low + high) / 2) <= 0.5 else ""
        return Unsupported(
            f"{where} has the zero-point {zero_point}{centred}; integers of the hardware have "
            "zero-point 0",
            REQUANTIZE,
        )
    if not math.isfinite(scale) or scale <= 0:
        return Unsupported(f"{where} must have a positive scale, has {scale}", REQUANTIZE)
    operator = FakeQuantize(float(scale), int(low), int(high))
    if low not in (0, -high, -high - 1) or high < 1 or operator.bits > MAX_BITS:
        return Unsupported(
            f"{where} must have integers 0..2^n - 1 or -2^(n-1)..2^(n-1) - 1 of 2 to {MAX_BITS} "
            f"bits, has {low}..{high}",
            REQUANTIZE,
        )
    return operator


@captures(
    "quantized_decomposed.quantize_per_tensor.default",
    "quantized_decomposed.quantize_per_tensor.tensor",
    "fake_quantize_per_tensor_affine.default",
    "fake_quantize_per_tensor_affine.tensor_qparams",
)
def _quantize(call: Call) -> Operator:
    scale, zero_point, low, high = _parameters(call, call.fx_node)
    return fake_quantize(call.target, scale, zero_point, low, high)


@captures(
    "quantized_decomposed.dequantize_per_tensor.default",
    "quantized_decomposed.dequantize_per_tensor.tensor",
)
def _dequantize(call: Call) -> Operator | None:
    """Real values stand for the integers in the graph: nothing is left to do."""
    source = call.fx_node.args[0]
    while not str(source.target).startswith("quantized_decomposed.quantize_per_tensor"):
        if not source.all_input_nodes:
            return refuse(call, "must undo a quantization, none is before it", REQUANTIZE)
        source = source.all_input_nodes[0]
    if _parameters(call, source) != _parameters(call, call.fx_node):
        return refuse(call, "must have the scale and limits of what it undoes", REQUANTIZE)
    return None


@captures(
    "quantized_decomposed.quantize_per_channel.default",
    "quantized_decomposed.dequantize_per_channel.default",
    "fake_quantize_per_channel_affine.default",
)
def _per_channel(call: Call) -> Operator:
    return refuse(call, "of activations has a scale for each channel, must have one", REQUANTIZE)


def _parameters(call: Call, fx_node: Any) -> tuple[float, int, int, int]:
    """Scale, zero-point, smallest and largest integer of a call."""
    values = []
    for argument in fx_node.args[1:5]:
        array = call.context.array(argument)
        values.append(argument if array is None else float(array.reshape(-1)[0]))
    return float(values[0]), int(values[1]), int(values[2]), int(values[3])
