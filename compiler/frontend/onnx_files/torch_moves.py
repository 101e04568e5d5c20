# SPDX-License-Identifier: Apache-2.0
"""ONNX's operators that only arrange values, or interpolate, by torch."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from .torch_registry import Attributes, get, operation
from .torch_values import (
    Integers,
    Refused,
    Value,
    Weights,
    array_of,
    int_list,
    tensor_of,
    turned,
)


def _moved(x: Value, move: Callable[[torch.Tensor], torch.Tensor]) -> Value:
    return x.moved(move(x.real)) if isinstance(x, Integers) else move(tensor_of(x))


@operation("Reshape")
def _reshape(attributes: Attributes, inputs: list[Value]) -> Value:
    wanted = int_list(inputs[1], "a shape")

    def move(x: torch.Tensor) -> torch.Tensor:
        keeps = not attributes.get("allowzero", 0)
        shape = [x.shape[i] if n == 0 and keeps else n for i, n in enumerate(wanted)]
        return x.reshape(shape)

    return _moved(inputs[0], move)


@operation("Flatten")
def _flatten(attributes: Attributes, inputs: list[Value]) -> Value:
    if attributes.get("axis", 1) != 1:
        raise Refused("must keep the batch and flatten the rest (axis 1)")
    return _moved(inputs[0], lambda x: torch.flatten(x, 1))


@operation("Transpose")
def _transpose(attributes: Attributes, inputs: list[Value]) -> Value:
    x = inputs[0]
    if isinstance(x, Weights) and x.integers.ndim == 2:
        return turned(x)
    return _moved(x, lambda x: x.permute(attributes.get("perm", list(range(x.ndim))[::-1])))


@operation("Squeeze", "Unsqueeze")
def _squeeze(attributes: Attributes, inputs: list[Value]) -> Value:
    axes = attributes.get("axes")
    if axes is None and get(inputs, 1) is not None:
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


@operation("Concat")
def _concat(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    return torch.cat([tensor_of(value) for value in inputs], attributes["axis"])


@operation("Split")
def _split(attributes: Attributes, inputs: list[Value]) -> tuple[torch.Tensor, ...]:
    x, axis = tensor_of(inputs[0]), attributes.get("axis", 0)
    sizes = attributes.get("split")
    if sizes is None and get(inputs, 1) is not None:
        sizes = int_list(inputs[1], "sizes")
    if sizes is None:
        sizes = [x.shape[axis] // attributes["_outputs"]] * attributes["_outputs"]
    return tuple(torch.split(x, list(sizes), axis))


@operation("Slice")
def _slice(attributes: Attributes, inputs: list[Value]) -> Value:
    starts, ends = (int_list(inputs[i], "a position") for i in (1, 2))
    axes = list(range(len(starts)))
    if get(inputs, 3) is not None:
        axes = int_list(inputs[3], "axes")
    steps = [1] * len(starts) if get(inputs, 4) is None else int_list(inputs[4], "steps")
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


@operation("Pad")
def _pad(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    pads = attributes.get("pads")
    pads = int_list(inputs[1], "sizes") if pads is None else list(pads)
    value = attributes.get("value", 0.0)
    if get(inputs, 2) is not None:
        value = float(array_of(inputs[2], "the value").reshape(-1)[0])
    n, mode = len(pads) // 2, attributes.get("mode", "constant")
    around = [p for axis in reversed(range(n)) for p in (pads[axis], pads[n + axis])]
    while len(around) > 4 and around[-2:] == [0, 0]:
        around = around[:-2]
    if mode != "constant":
        return F.pad(x, around, mode="replicate" if mode == "edge" else mode)
    return F.pad(x, around, value=value)


@operation("Gather")
def _gather(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    index = array_of(inputs[1], "an index")
    x, axis = tensor_of(inputs[0]), attributes.get("axis", 0)
    if index.ndim == 0:
        return x.select(axis, int(index))
    return torch.index_select(x, axis, torch.from_numpy(np.array(index, np.int64)))


@operation("DepthToSpace")
def _depth_to_space(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    if attributes.get("mode", "DCR") != "CRD":
        raise Refused("must have the mode CRD, as torch exports pixel shuffle")
    return F.pixel_shuffle(tensor_of(inputs[0]), attributes["blocksize"])


@operation("Resize", "Upsample")
def _resize(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    x = tensor_of(inputs[0])
    sizes = get(inputs, 3)
    if sizes is not None and array_of(sizes, "sizes").size:
        size = int_list(sizes, "sizes")[2:]
    else:
        place = 1 if attributes["_kind"] == "Upsample" or len(inputs) == 2 else 2
        scales = array_of(get(inputs, place), "scales").reshape(-1)
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


@operation("ArgMax")
def _argmax(attributes: Attributes, inputs: list[Value]) -> torch.Tensor:
    keeps = bool(attributes.get("keepdims", 1))
    return torch.argmax(tensor_of(inputs[0]), attributes.get("axis", 0), keepdim=keeps)
