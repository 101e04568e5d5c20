# SPDX-License-Identifier: Apache-2.0
"""ONNX operators by torch's, so that one capture reads both."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .torch_quant import clip_integers, dequantize_linear, quant, quantize_linear
from .torch_values import (
    Integers,
    Refused,
    Value,
    Weights,
    array_of,
    int_list,
    plain_of,
    tensor_of,
)

Attributes = dict[str, Any]
Operation = Callable[[Attributes, list[Value]], Any]
OPERATIONS: dict[str, Operation] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "Quant": quant,
}


def _operation(*kinds: str) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(kinds, function))
        return function

    return register


def _get(inputs: list[Value], position: int) -> Value:
    return inputs[position] if position < len(inputs) else None


def _windows(
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


def _symmetric(around: list[int]) -> list[int] | None:
    """Zeros of each axis, where both sides have as many."""
    pairs = [(around[i], around[i + 1]) for i in range(0, len(around), 2)]
    if any(before != after for before, after in pairs):
        return None
    return [before for before, _ in reversed(pairs)]


# Weighted sums ----------------------------------------------------------------------------------
@_operation("Conv")
def _conv(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, weight = tensor_of(inputs[0]), tensor_of(inputs[1])
    bias = None if _get(inputs, 2) is None else plain_of(inputs[2])
    strides, dilations, around = _windows(attributes, tuple(x.shape[2:]), list(weight.shape[2:]))
    padding = _symmetric(around)
    if padding is None:
        x, padding = F.pad(x, around), [0] * (x.ndim - 2)
    convolve: Any = {3: F.conv1d, 4: F.conv2d}.get(x.ndim)
    if convolve is None:
        raise Refused(f"must be over one or two dimensions, is over {x.ndim - 2}")
    groups = attributes.get("group", 1)
    result: torch.Tensor = convolve(x, weight, bias, strides, padding, dilations, groups)
    return result


@_operation("ConvTranspose")
def _conv_transpose(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, weight = tensor_of(inputs[0]), tensor_of(inputs[1])
    bias = None if _get(inputs, 2) is None else plain_of(inputs[2])
    kernel = list(weight.shape[2:])
    strides, dilations, around = _windows({**attributes, "auto_pad": "NOTSET"}, (), kernel)
    padding = _symmetric(around)
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


@_operation("Gemm")
def _gemm(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0:
        raise Refused("must not transpose or scale its first operand")
    if _get(inputs, 2) is not None and attributes.get("beta", 1.0) != 1.0:
        raise Refused("must not scale its bias")
    weight = inputs[1] if attributes.get("transB", 0) else _turned(inputs[1])
    bias = None if _get(inputs, 2) is None else plain_of(inputs[2]).reshape(-1)
    matrix = tensor_of(weight)
    if bias is not None:
        bias = bias.expand(matrix.shape[0])
    return F.linear(tensor_of(inputs[0]), matrix, bias)


@_operation("MatMul")
def _matmul(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if isinstance(inputs[1], np.ndarray | Weights):
        return F.linear(tensor_of(inputs[0]), tensor_of(_turned(inputs[1])))
    return torch.matmul(tensor_of(inputs[0]), tensor_of(inputs[1]))


def _turned(value: Value) -> Value:
    """A matrix with its axes exchanged, scales included."""
    if isinstance(value, Weights):
        return Weights(value.integers.T, value.scale, value.zero_point, 1 - value.axis)
    return array_of(value, "a weight matrix").T


@_operation("BatchNormalization")
def _batch_norm(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    scale, bias, mean, variance = (plain_of(value) for value in inputs[1:5])
    epsilon = attributes.get("epsilon", 1e-5)
    return F.batch_norm(tensor_of(inputs[0]), mean, variance, scale, bias, False, 0.0, epsilon)


# Element by element -----------------------------------------------------------------------------
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


@_operation("Sum")
def _sum(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    total = tensor_of(inputs[0])
    for value in inputs[1:]:
        total = total + tensor_of(value)
    return total


@_operation("Clip")
def _clip(attributes: Attributes, inputs: list[Value]) -> Value:
    low, high = (
        attributes.get(name, default)
        if _get(inputs, position) is None
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


@_operation("LeakyRelu")
def _leaky(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.leaky_relu(tensor_of(inputs[0]), attributes.get("alpha", 0.01))


@_operation("PRelu")
def _prelu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.prelu(tensor_of(inputs[0]), plain_of(inputs[1]).reshape(-1))


@_operation("Elu")
def _elu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.elu(tensor_of(inputs[0]), attributes.get("alpha", 1.0))


@_operation("HardSigmoid")
def _hard_sigmoid(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    slope, offset = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return F.hardsigmoid(tensor_of(inputs[0]))
    return torch.clamp(tensor_of(inputs[0]) * slope + offset, 0.0, 1.0)


@_operation("Gelu")
def _gelu(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return F.gelu(tensor_of(inputs[0]), approximate=attributes.get("approximate", "none"))


@_operation("Softmax")
def _softmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.softmax(tensor_of(inputs[0]), attributes.get("axis", -1))


@_operation("LogSoftmax")
def _log_softmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.log_softmax(tensor_of(inputs[0]), attributes.get("axis", -1))


@_operation("Identity", "Dropout")
def _identity(attributes: Attributes, inputs: list[Value]) -> Value:
    return inputs[0]


@_operation("Cast")
def _cast(attributes: Attributes, inputs: list[Value]) -> Value:
    if attributes.get("to") not in {1, 10, 11, 16}:  # FLOAT, FLOAT16, DOUBLE, BFLOAT16
        raise Refused("must keep real numbers real")
    return inputs[0]


# Pooling ----------------------------------------------------------------------------------------
def _pooled(x: Value, pool: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    """Integers that are pooled stay integers."""
    if isinstance(x, Integers):
        return x.moved(pool(x.real))
    return pool(tensor_of(x))


@_operation("MaxPool")
def _max_pool(attributes: Attributes, inputs: list[Value]) -> Value:
    kernel = list(attributes["kernel_shape"])
    ceil = bool(attributes.get("ceil_mode", 0))
    pool: Any = F.max_pool1d if len(kernel) == 1 else F.max_pool2d

    def run(x: torch.Tensor) -> torch.Tensor:
        strides, dilations, around = _windows(attributes, tuple(x.shape[2:]), kernel)
        padding = _symmetric(around)
        if padding is None:
            x = F.pad(x, around, value=-torch.inf)
            padding = [0] * len(kernel)
        result: torch.Tensor = pool(x, kernel, strides, padding, dilations, ceil)
        return result

    return _pooled(inputs[0], run)


@_operation("AveragePool")
def _average_pool(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, kernel = tensor_of(inputs[0]), list(attributes["kernel_shape"])
    strides, dilations, around = _windows(attributes, tuple(x.shape[2:]), kernel)
    padding = _symmetric(around)
    counts = bool(attributes.get("count_include_pad", 0))
    if padding is None and counts:
        x, padding = F.pad(x, around), [0] * len(kernel)
    if padding is None or any(d != 1 for d in dilations):
        raise Refused("must pad both sides alike, or count what it pads, and have no dilation")
    pool: Any = F.avg_pool1d if len(kernel) == 1 else F.avg_pool2d
    ceil = bool(attributes.get("ceil_mode", 0))
    counts = counts or not any(padding)
    result: torch.Tensor = pool(x, kernel, strides, padding, ceil, counts)
    return result


@_operation("GlobalAveragePool")
def _global_average(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    return F.adaptive_avg_pool1d(x, 1) if x.ndim == 3 else F.adaptive_avg_pool2d(x, 1)


@_operation("GlobalMaxPool")
def _global_max(attributes: Attributes, inputs: list[Value]) -> Value:
    return _pooled(
        inputs[0],
        lambda x: F.adaptive_max_pool1d(x, 1) if x.ndim == 3 else F.adaptive_max_pool2d(x, 1),
    )


@_operation("ReduceMean", "ReduceMax", "ReduceSum")
def _reduce(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    axes = attributes.get("axes")
    if axes is None and _get(inputs, 1) is not None:
        axes = int_list(inputs[1], "axes")
    if axes is None:
        raise Refused("must name its axes")
    function = {"ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceSum": torch.sum}
    reduce: Any = function[attributes["_kind"]]
    result: torch.Tensor = reduce(x, list(axes), bool(attributes.get("keepdims", 1)))
    return result


# Arrangement ------------------------------------------------------------------------------------
def _moved(x: Value, move: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    return x.moved(move(x.real)) if isinstance(x, Integers) else move(tensor_of(x))


@_operation("Reshape")
def _reshape(attributes: Attributes, inputs: list[Value]) -> Value:
    wanted = int_list(inputs[1], "a shape")

    def move(x: torch.Tensor) -> torch.Tensor:
        keeps = not attributes.get("allowzero", 0)
        shape = [x.shape[i] if n == 0 and keeps else n for i, n in enumerate(wanted)]
        return x.reshape(shape)

    return _moved(inputs[0], move)


@_operation("Flatten")
def _flatten(attributes: Attributes, inputs: list[Value]) -> Value:
    if attributes.get("axis", 1) != 1:
        raise Refused("must keep the batch and flatten the rest (axis 1)")
    return _moved(inputs[0], lambda x: torch.flatten(x, 1))


@_operation("Transpose")
def _transpose(attributes: Attributes, inputs: list[Value]) -> Value:
    x = inputs[0]
    if isinstance(x, Weights) and x.integers.ndim == 2:
        return _turned(x)
    return _moved(x, lambda x: x.permute(attributes.get("perm", list(range(x.ndim))[::-1])))


@_operation("Squeeze", "Unsqueeze")
def _squeeze(attributes: Attributes, inputs: list[Value]) -> Value:
    axes = attributes.get("axes")
    if axes is None and _get(inputs, 1) is not None:
        axes = int_list(inputs[1], "axes")
    if axes is None:
        raise Refused("must name its axes")
    is_in = attributes["_kind"] == "Unsqueeze"

    def move(x: torch.Tensor) -> torch.Tensor:
        n = x.ndim + (len(axes) if is_in else 0)
        for axis in sorted((a % n for a in axes), reverse=not is_in):
            x = x.unsqueeze(axis) if is_in else x.squeeze(axis)
        return x

    return _moved(inputs[0], move)


@_operation("Concat")
def _concat(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.cat([tensor_of(value) for value in inputs], attributes["axis"])


@_operation("Split")
def _split(attributes: Attributes, inputs: list[Value]) -> tuple[torch.Tensor, ...]:
    x, axis = tensor_of(inputs[0]), attributes.get("axis", 0)
    sizes = attributes.get("split")
    if sizes is None and _get(inputs, 1) is not None:
        sizes = int_list(inputs[1], "sizes")
    if sizes is None:
        sizes = [x.shape[axis] // attributes["_outputs"]] * attributes["_outputs"]
    return tuple(torch.split(x, list(sizes), axis))


@_operation("Slice")
def _slice(attributes: Attributes, inputs: list[Value]) -> Value:
    starts, ends = (int_list(inputs[i], "a position") for i in (1, 2))
    axes = list(range(len(starts)))
    if _get(inputs, 3) is not None:
        axes = int_list(inputs[3], "axes")
    steps = [1] * len(starts) if _get(inputs, 4) is None else int_list(inputs[4], "steps")
    if any(step < 1 for step in steps):
        raise Refused("must go forward")

    def move(x: torch.Tensor) -> torch.Tensor:
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            size = x.shape[axis]
            stop = min(end, size) if end >= 0 else end
            index = [slice(None)] * x.ndim
            index[axis] = slice(start, None if stop == size else stop, step)
            x = x[tuple(index)]
        return x

    return _moved(inputs[0], move)


@_operation("Pad")
def _pad(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    pads = attributes.get("pads")
    pads = int_list(inputs[1], "sizes") if pads is None else list(pads)
    value = attributes.get("value", 0.0)
    if _get(inputs, 2) is not None:
        value = float(array_of(inputs[2], "the value").reshape(-1)[0])
    n, mode = len(pads) // 2, attributes.get("mode", "constant")
    around = [p for axis in reversed(range(n)) for p in (pads[axis], pads[n + axis])]
    while len(around) > 4 and around[-2:] == [0, 0]:
        around = around[:-2]
    if mode != "constant":
        return F.pad(x, around, mode="replicate" if mode == "edge" else mode)
    return F.pad(x, around, value=value)


@_operation("Gather")
def _gather(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    index = array_of(inputs[1], "an index")
    x, axis = tensor_of(inputs[0]), attributes.get("axis", 0)
    if index.ndim == 0:
        return x.select(axis, int(index))
    return torch.index_select(x, axis, torch.from_numpy(np.array(index, np.int64)))


@_operation("DepthToSpace")
def _depth_to_space(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if attributes.get("mode", "DCR") != "CRD":
        raise Refused("must have the mode CRD, as torch exports pixel shuffle")
    return F.pixel_shuffle(tensor_of(inputs[0]), attributes["blocksize"])


@_operation("Resize", "Upsample")
def _resize(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    sizes = _get(inputs, 3)
    if sizes is not None and array_of(sizes, "sizes").size:
        size = int_list(sizes, "sizes")[2:]
    else:
        place = 1 if attributes["_kind"] == "Upsample" or len(inputs) == 2 else 2
        scales = array_of(_get(inputs, place), "scales").reshape(-1)
        if (scales[:2] != 1).any():
            raise Refused("must keep the batch and the channels")
        size = [int(n * s) for n, s in zip(x.shape[2:], scales[2:], strict=True)]
    mode, places = attributes.get("mode", "nearest"), "coordinate_transformation_mode"
    where = attributes.get(places, "half_pixel")
    if mode == "nearest":
        whole = all(new % old == 0 for new, old in zip(size, x.shape[2:], strict=True))
        if not whole and (where, attributes.get("nearest_mode")) != ("asymmetric", "floor"):
            raise Refused("must enlarge by whole numbers")
        return F.interpolate(x, size=size, mode="nearest")
    if mode != "linear" or where not in {"half_pixel", "pytorch_half_pixel", "align_corners"}:
        raise Refused(f"must be nearest or linear, between pixels' centres; is {mode}, {where}")
    name = "linear" if x.ndim == 3 else "bilinear"
    return F.interpolate(x, size=size, mode=name, align_corners=where == "align_corners")


@_operation("ArgMax")
def _argmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    keeps = bool(attributes.get("keepdims", 1))
    return torch.argmax(tensor_of(inputs[0]), attributes.get("axis", 0), keepdim=keeps)
