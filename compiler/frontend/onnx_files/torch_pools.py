# SPDX-License-Identifier: Apache-2.0
"""ONNX's poolings and reductions, by torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from .torch_registry import Attributes, get, operation, symmetric, windows
from .torch_values import (
    Integers,
    Refused,
    Value,
    int_list,
    tensor_of,
)


def _pooled(x: Value, pool: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    """Integers that are pooled stay integers."""
    if isinstance(x, Integers):
        return x.moved(pool(x.real))
    return pool(tensor_of(x))


@operation("MaxPool")
def _max_pool(attributes: Attributes, inputs: list[Value]) -> Value:
    kernel = list(attributes["kernel_shape"])
    ceil = bool(attributes.get("ceil_mode", 0))
    pool: Any = F.max_pool1d if len(kernel) == 1 else F.max_pool2d

    def run(x: torch.Tensor) -> torch.Tensor:
        strides, dilations, around = windows(attributes, tuple(x.shape[2:]), kernel)
        padding = symmetric(around)
        if padding is None:
            x = F.pad(x, around, value=-torch.inf)
            padding = [0] * len(kernel)
        result: torch.Tensor = pool(x, kernel, strides, padding, dilations, ceil)
        return result

    return _pooled(inputs[0], run)


@operation("AveragePool")
def _average_pool(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x, kernel = tensor_of(inputs[0]), list(attributes["kernel_shape"])
    strides, dilations, around = windows(attributes, tuple(x.shape[2:]), kernel)
    padding = symmetric(around)
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


@operation("GlobalAveragePool")
def _global_average(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    return F.adaptive_avg_pool1d(x, 1) if x.ndim == 3 else F.adaptive_avg_pool2d(x, 1)


@operation("GlobalMaxPool")
def _global_max(attributes: Attributes, inputs: list[Value]) -> Value:
    return _pooled(
        inputs[0],
        lambda x: F.adaptive_max_pool1d(x, 1) if x.ndim == 3 else F.adaptive_max_pool2d(x, 1),
    )


@operation("ReduceMean", "ReduceMax", "ReduceSum")
def _reduce(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    axes = attributes.get("axes")
    if axes is None and get(inputs, 1) is not None:
        axes = int_list(inputs[1], "axes")
    if axes is None:
        raise Refused("must name its axes")
    function = {"ReduceMean": torch.mean, "ReduceMax": torch.amax, "ReduceSum": torch.sum}
    reduce: Any = function[attributes["_kind"]]
    result: torch.Tensor = reduce(x, list(axes), bool(attributes.get("keepdims", 1)))
    return result
