# SPDX-License-Identifier: Apache-2.0
"""What a name of an ONNX graph stands for while its nodes are traced with torch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


class Refused(ValueError):
    """A node that cannot be read; the message says what must hold and what came."""


@dataclass(frozen=True, eq=False)
class Integers:
    """Integers of a quantized tensor, not computed yet: ``clamp(round(real / scale), low, high)``.

    Operators between quantizing and dequantizing that only narrow or move values act on these.
    """

    real: torch.Tensor
    scale: float
    zero_point: int
    low: int
    high: int

    def moved(self, real: torch.Tensor) -> "Integers":
        """The same integers in another arrangement."""
        return replace(self, real=real)

    def dequantized(self) -> torch.Tensor:
        """Real values again, by the operators that capture reads."""
        ops = torch.ops.quantized_decomposed
        dtype = torch.int8 if self.low < 0 else torch.uint8
        rest = (self.scale, self.zero_point, self.low, self.high, dtype)
        result: torch.Tensor = ops.dequantize_per_tensor(
            ops.quantize_per_tensor(self.real, *rest), *rest
        )
        return result


@dataclass(frozen=True, eq=False)
class Weights:
    """Constant integers with their scales: one, or one along an axis."""

    integers: Array
    scale: Array
    zero_point: Array
    axis: int

    @property
    def real(self) -> Array:
        """Real values, float64."""
        shape = [1] * self.integers.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        difference = self.integers.astype(np.float64) - self.zero_point.reshape(shape)
        values: Array = difference * self.scale.astype(np.float64).reshape(shape)
        return values

    def traced(self) -> torch.Tensor:
        """Real values by an operator that tells capture of the scales."""
        if self.zero_point.any():
            raise Refused("weights must have the zero-point 0, have another")
        if np.abs(self.integers).max(initial=0) > 128:
            raise Refused("weights must be integers of 8 bits, are larger")
        ops = torch.ops.quantized_decomposed
        integers = torch.from_numpy(self.integers.astype(np.int8))
        scales = torch.from_numpy(self.scale.astype(np.float32).reshape(-1))
        limits = (-128, 127, torch.int8)
        result: torch.Tensor
        if scales.numel() == 1:
            result = ops.dequantize_per_tensor(integers, float(scales[0]), 0, *limits)
        else:
            zeros = torch.zeros(scales.numel(), dtype=torch.int64)
            result = ops.dequantize_per_channel(integers, scales, zeros, self.axis, *limits)
        return result


Value = torch.Tensor | Array | Integers | Weights | None


def array_of(value: Value, what: str) -> Array:
    """A constant; ``Refused`` for what depends on the input."""
    if isinstance(value, Weights):
        return value.real
    if not isinstance(value, np.ndarray):
        raise Refused(f"{what} must be constant, depends on the input")
    return value


def tensor_of(value: Value, like: torch.Tensor | None = None) -> torch.Tensor:
    """A tensor for torch to compute with; real constants in float32."""
    if isinstance(value, Weights):
        return value.traced()
    if isinstance(value, np.ndarray):
        array = value.astype(np.float32) if value.dtype.kind == "f" else value
        return torch.from_numpy(np.array(array))
    if isinstance(value, Integers):
        raise Refused("integers of a quantized tensor must be dequantized first")
    if value is None:
        raise Refused("an input is missing")
    return value


def plain_of(value: Value) -> torch.Tensor:
    """Like :func:`tensor_of`, for what needs no scales, such as a bias."""
    if isinstance(value, Weights):
        return torch.from_numpy(value.real.astype(np.float32))
    return tensor_of(value)


def int_list(value: Value, what: str) -> list[int]:
    """Whole numbers of a constant."""
    return [int(one) for one in array_of(value, what).reshape(-1)]


def turned(value: Value) -> Value:
    """A matrix with its axes exchanged, scales included."""
    if isinstance(value, Weights):
        return Weights(value.integers.T, value.scale, value.zero_point, 1 - value.axis)
    return array_of(value, "a weight matrix").T
