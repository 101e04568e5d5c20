# SPDX-License-Identifier: Apache-2.0
"""Calls whose meaning is in which values lie along an axis: reductions, stacks, dense layers.

``x.flatten(2).mean(-1)`` is an average pooling, a dense layer over the last axis of a sequence that
was transposed is a 1 x 1 convolution, a stack of tensors is a concatenation. Positions of moved
values (:mod:`stemcore.compiler.frontend.capture_moves`) tell.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .capture_moves import Moved
from .fx import Call
from .ops.dense import Linear, over_last_axis
from .ops.operator import Placed, Shape
from .ops.reduction import REDUCTIONS, axes_of, reduction

DENSE, STACK = "aten.linear.default", "aten.stack.default"


def regroup(call: Call, value: Moved, source: Shape) -> Placed | None:
    """What a call makes of its first operand, a moved value of a source (C, H, W).

    None where positions do not tell. A result that is ``Linear`` reads all values of an image in
    their order.
    """
    if not isinstance(value.positions, torch.Tensor):
        return None
    if call.target in REDUCTIONS:
        return _reduce(call.fx_node, REDUCTIONS[call.target], value, source)
    if call.target == DENSE and value.positions.ndim > 2:
        return _dense(call, value.positions, source)
    return None


def _dense(call: Call, positions: torch.Tensor, source: Shape) -> Placed | None:
    weight, bias = call.array(1, "weight"), call.array(2, "bias")
    if weight is None:
        return None
    n_outputs = len(weight)
    bias = np.zeros(n_outputs) if bias is None else bias
    step = call.step(1, "weight", 0, n_outputs)
    places = positions[0].reshape(-1, weight.shape[1]).numpy()
    if len(places) == 1:
        return Placed(Linear(weight, bias, step), (n_outputs, 1, 1), np.arange(n_outputs))
    return over_last_axis(places, source, Linear(weight, bias, step))


def _reduce(fx_node: Any, kind: str, value: Moved, source: Shape) -> Placed | None:
    positions = value.positions
    assert isinstance(positions, torch.Tensor)
    dims = fx_node.args[1] if len(fx_node.args) > 1 else fx_node.kwargs.get("dim")
    axes = axes_of(dims, positions.ndim)
    if value.batch in axes:
        return None
    kept = [axis for axis in range(positions.ndim) if axis not in axes]
    if kept[0] != value.batch:
        return None
    groups = positions.permute(*kept, *axes)[0].flatten(-len(axes))
    return reduction(groups.reshape(-1, groups.shape[-1]).numpy(), source, kind)


def stack(fx_node: Any, sizes: Sequence[tuple[int, ...]], source: str) -> Moved:
    """A stack of tensors as a value of their concatenation ``source``.

    ``sizes`` are those of the tensors, batch first. Where the new axis is before the batch,
    reductions over it can still be read.
    """
    axis = fx_node.args[1] if len(fx_node.args) > 1 else fx_node.kwargs.get("dim", 0)
    n_elements = int(np.prod(sizes[0][1:]))
    parts = [
        (torch.arange(n_elements) + number * n_elements).reshape(1, *size[1:]).expand(size)
        for number, size in enumerate(sizes)
    ]
    axis = axis % (len(sizes[0]) + 1)
    return Moved(source, torch.stack(parts, axis), fx_node, int(axis == 0))
