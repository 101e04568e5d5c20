# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that quantize: QDQ pairs with a clip between, and QONNX's Quant."""

from typing import Any

import numpy as np
import torch

from ..ops.fake_quantize import MAX_BITS
from .torch_values import Array, Integers, Refused, Value, Weights, array_of

BIAS_BITS = 32  # of constants: what is used as a weight is checked where it is
_LIMITS = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}


def quantize_linear(attributes: dict[str, Any], inputs: list[Value]) -> Value:
    """QuantizeLinear(x, scale, zero_point)."""
    x, scale = inputs[0], array_of(inputs[1], "a scale")
    zero = inputs[2] if len(inputs) > 2 else None
    zero_point = np.zeros_like(scale, np.uint8) if zero is None else array_of(zero, "a zero-point")
    if zero_point.dtype not in _LIMITS:
        raise Refused(f"must quantize to integers of 8 bits, quantizes to {zero_point.dtype}")
    low, high = _LIMITS[zero_point.dtype]
    return _quantize(x, scale, zero_point, int(attributes.get("axis", 1)), low, high)


def _quantize(x: Value, scale: Array, zero_point: Array, axis: int, low: int, high: int) -> Value:
    if isinstance(x, Weights):
        x = x.real
    if isinstance(x, np.ndarray):
        shape = [1] * x.ndim
        if scale.size > 1:
            shape[axis] = -1
        ratio = x.astype(np.float32) / scale.astype(np.float32).reshape(shape)
        zeros = zero_point.astype(np.int64)
        offset = zeros.reshape(shape if zeros.size > 1 else [1] * x.ndim)
        integers = np.clip(np.rint(ratio) + offset, low, high)
        return Weights(integers.astype(np.int64), scale, zeros, axis)
    if not isinstance(x, torch.Tensor):
        raise Refused("must quantize real values, integers came")
    if scale.size != 1:
        raise Refused(f"activations must have one scale, have {scale.size}")
    return Integers(x, float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]), low, high)


def dequantize_linear(attributes: dict[str, Any], inputs: list[Value]) -> Value:
    """DequantizeLinear(integers, scale, zero_point)."""
    x, scale = inputs[0], array_of(inputs[1], "a scale")
    zero = inputs[2] if len(inputs) > 2 else None
    zero_point = np.zeros(1, np.int64) if zero is None else array_of(zero, "a zero-point")
    axis = int(attributes.get("axis", 1))
    if isinstance(x, Weights):
        x = x.integers
    if isinstance(x, np.ndarray):
        integers, zeros = x.astype(np.int64), zero_point.astype(np.int64)
        return Weights(integers, scale, zeros, axis % max(x.ndim, 1))
    if not isinstance(x, Integers):
        raise Refused("must dequantize integers, real values came")
    same = np.float32(x.scale) == np.float32(scale.reshape(-1)[0]) and scale.size == 1
    if not same or int(zero_point.reshape(-1)[0]) != x.zero_point:
        raise Refused("must undo the quantization before it, has another scale or zero-point")
    return x.dequantized()


def quant(attributes: dict[str, Any], inputs: list[Value]) -> Value:
    """QONNX's Quant(x, scale, zero_point, bit_width): quantizes and dequantizes."""
    scale, zero_point, width = (
        array_of(value, what)
        for value, what in zip(inputs[1:4], ("a scale", "a zero-point", "a bit width"), strict=True)
    )
    mode = str(attributes.get("rounding_mode", "ROUND"))
    if mode not in {"ROUND", "HALF_EVEN"}:
        raise Refused(f"must round to the nearest integer (ROUND), rounds by {mode}")
    bits, narrow = int(width.reshape(-1)[0]), int(attributes.get("narrow", 0))
    most = MAX_BITS if isinstance(inputs[0], torch.Tensor) else BIAS_BITS
    if width.size != 1 or not 2 <= bits <= most or bits != float(width.reshape(-1)[0]):
        raise Refused(f"must have 2 to {most} bits, has {width.reshape(-1)[:4].tolist()}")
    if int(attributes.get("signed", 1)):
        low, high = -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    else:
        low, high = 0, (1 << bits) - 1 - narrow
    zeros = np.rint(zero_point).astype(np.int64)
    axis = int(np.argmax(scale.shape)) if scale.size > 1 else 0
    made = _quantize(inputs[0], scale, zeros, axis, low, high)
    return made.dequantized() if isinstance(made, Integers) else made


def clip_integers(value: Integers | Weights, low: float, high: float) -> Integers | Weights:
    """Clip between quantizing and dequantizing: fewer bits."""
    if isinstance(value, Weights):
        clipped = np.clip(value.integers, low, high)
        return Weights(clipped, value.scale, value.zero_point, value.axis)
    low, high = max(value.low, int(low)), min(value.high, int(high))
    return Integers(value.real, value.scale, value.zero_point, low, high)
