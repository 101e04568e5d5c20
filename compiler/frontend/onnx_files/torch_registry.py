# SPDX-License-Identifier: Apache-2.0
"""The registry of ONNX operators by torch's, and how both write windows."""

from collections.abc import Callable
from typing import Any

from .torch_quant import dequantize_linear, quant, quantize_linear
from .torch_values import Value

Attributes = dict[str, Any]
Operation = Callable[[Attributes, list[Value]], Any]
OPERATIONS: dict[str, Operation] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "Quant": quant,
}


def operation(*kinds: str) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(kinds, function))
        return function

    return register


def get(inputs: list[Value], position: int) -> Value:
    return inputs[position] if position < len(inputs) else None


def windows(
    attributes: Attributes, sizes: tuple[int, ...], kernel: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations, and zeros in torch's order: last axis first, before and after."""
    n = len(kernel)
    strides = list(attributes.get("strides", [1] * n))
    dilations = list(attributes.get("dilations", [1] * n))
    pads = list(attributes.get("pads", [0] * 2 * n))
    mode = attributes.get("auto_pad", "NOTSET")
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        before, after = [], []
        for size, stride, dilation, k in zip(sizes, strides, dilations, kernel, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            less, more = total // 2, total - total // 2
            before.append(less if mode == "SAME_UPPER" else more)
            after.append(more if mode == "SAME_UPPER" else less)
        pads = [*before, *after]
    around = [p for axis in reversed(range(n)) for p in (pads[axis], pads[n + axis])]
    return strides, dilations, around


def symmetric(around: list[int]) -> list[int] | None:
    """Zeros of each axis, where both sides have as many."""
    pairs = [(around[i], around[i + 1]) for i in range(0, len(around), 2)]
    if any(before != after for before, after in pairs):
        return None
    return [before for before, _ in reversed(pairs)]
