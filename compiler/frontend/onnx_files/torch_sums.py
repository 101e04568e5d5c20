# SPDX-License-Identifier: Apache-2.0
"""ONNX's convolutions, dense layers and functions of single values, by torch."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .torch_quant import clip_integers
from .torch_registry import OPERATIONS, Attributes, Operation, get, operation, symmetric, windows
from .torch_values import (
    Integers,
    Refused,
    Value,
    Weights,
    array_of,
    plain_of,
    tensor_of,
    turned,
)


@operation("Conv")
def _conv(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, weight = tensor_of(inputs[0]), tensor_of(inputs[1])
    bias = None if get(inputs, 2) is None else plain_of(inputs[2])
    strides, dilations, around = windows(attributes, tuple(x.shape[2:]), list(weight.shape[2:]))
    padding = symmetric(around)
    if padding is None:
        x, padding = F.pad(x, around), [0] * (x.ndim - 2)
    convolve: Any = {3: F.conv1d, 4: F.conv2d}.get(x.ndim)
    if convolve is None:
        raise Refused(f"must be over one or two dimensions, is over {x.ndim - 2}")
    groups = attributes.get("group", 1)
    result: torch.Tensor = convolve(x, weight, bias, strides, padding, dilations, groups)
    return result


@operation("ConvTranspose")
def _conv_transpose(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, weight = tensor_of(inputs[0]), tensor_of(inputs[1])
    bias = None if get(inputs, 2) is None else plain_of(inputs[2])
    kernel = list(weight.shape[2:])
    strides, dilations, around = windows({**attributes, "auto_pad": "NOTSET"}, (), kernel)
    padding = symmetric(around)
    if (
        padding is None
        or "output_shape" in attributes
        or attributes.get("auto_pad", "NOTSET") in {"SAME_UPPER", "SAME_LOWER"}
    ):
        raise Refused("must pad both sides alike, and have no output_shape")
    extra = list(attributes.get("output_padding", [0] * len(kernel)))
    groups = attributes.get("group", 1)
    convolve: Any = F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d
    result: torch.Tensor = convolve(x, weight, bias, strides, padding, extra, groups, dilations)
    return result


@operation("Gemm")
def _gemm(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0:
        raise Refused("must not transpose or scale its first operand")
    if get(inputs, 2) is not None and attributes.get("beta", 1.0) != 1.0:
        raise Refused("must not scale its bias")
    weight = inputs[1] if attributes.get("transB", 0) else turned(inputs[1])
    bias = None if get(inputs, 2) is None else plain_of(inputs[2]).reshape(-1)
    matrix = tensor_of(weight)
    if bias is not None:
        bias = bias.expand(matrix.shape[0])
    return F.linear(tensor_of(inputs[0]), matrix, bias)


@operation("MatMul")
def _matmul(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if isinstance(inputs[1], np.ndarray | Weights):
        return F.linear(tensor_of(inputs[0]), tensor_of(turned(inputs[1])))
    return torch.matmul(tensor_of(inputs[0]), tensor_of(inputs[1]))


@operation("BatchNormalization")
def _batch_norm(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    scale, bias, mean, variance = (plain_of(value) for value in inputs[1:5])
    epsilon = attributes.get("epsilon", 1e-5)
    return F.batch_norm(tensor_of(inputs[0]), mean, variance, scale, bias, False, 0.0, epsilon)


_BINARY: dict[str, Any] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
}
_UNARY: dict[str, Any] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Softplus": F.softplus,
    "HardSwish": F.hardswish,
    "Mish": F.mish,
    "Sign": torch.sign,
    "Erf": torch.erf,
}


def _scalar(value: Value) -> Any:
    """A number where a constant is one."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.ndim == 0:
        return float(value)
    return plain_of(value) if isinstance(value, Weights) else tensor_of(value)


def _binary(function: Any) -> Operation:
    def run(attributes: Attributes, inputs: list[Value]) -> Any:
        first = inputs[0]
        x = plain_of(first) if isinstance(first, Weights) else tensor_of(first)
        return function(x, _scalar(inputs[1]))

    return run


def _unary(function: Any) -> Operation:
    return lambda attributes, inputs: function(tensor_of(inputs[0]))


OPERATIONS.update({kind: _binary(function) for kind, function in _BINARY.items()})
OPERATIONS.update({kind: _unary(function) for kind, function in _UNARY.items()})


@operation("Sum")
def _sum(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    total = tensor_of(inputs[0])
    for value in inputs[1:]:
        total = total + tensor_of(value)
    return total


@operation("Clip")
def _clip(attributes: Attributes, inputs: list[Value]) -> Value:
    low, high = (
        attributes.get(name, default)
        if get(inputs, position) is None
        else float(array_of(inputs[position], "a limit").reshape(-1)[0])
        for position, name, default in ((1, "min", -np.inf), (2, "max", np.inf))
    )
    x = inputs[0]
    if isinstance(x, Integers | Weights):
        return clip_integers(x, low, high)
    if low == 0 and np.isinf(high):
        return torch.relu(tensor_of(x))
    return torch.clamp(
        tensor_of(x), None if np.isinf(low) else low, None if np.isinf(high) else high
    )


@operation("LeakyRelu")
def _leaky(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.leaky_relu(tensor_of(inputs[0]), attributes.get("alpha", 0.01))


@operation("PRelu")
def _prelu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.prelu(tensor_of(inputs[0]), plain_of(inputs[1]).reshape(-1))


@operation("Elu")
def _elu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.elu(tensor_of(inputs[0]), attributes.get("alpha", 1.0))


@operation("HardSigmoid")
def _hard_sigmoid(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    slope, offset = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return F.hardsigmoid(tensor_of(inputs[0]))
    return torch.clamp(tensor_of(inputs[0]) * slope + offset, 0.0, 1.0)


@operation("Gelu")
def _gelu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.gelu(tensor_of(inputs[0]), approximate=attributes.get("approximate", "none"))


@operation("Softmax")
def _softmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.softmax(tensor_of(inputs[0]), attributes.get("axis", -1))


@operation("LogSoftmax")
def _log_softmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.log_softmax(tensor_of(inputs[0]), attributes.get("axis", -1))


@operation("Identity", "Dropout")
def _identity(attributes: Attributes, inputs: list[Value]) -> Value:
    return inputs[0]


@operation("Cast")
def _cast(attributes: Attributes, inputs: list[Value]) -> Value:
    if attributes.get("to") not in {1, 10, 11, 16}:  # FLOAT, FLOAT16, DOUBLE, BFLOAT16
        raise Refused("must keep real numbers real")
    return inputs[0]
