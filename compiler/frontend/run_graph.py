# SPDX-License-Identifier: Apache-2.0
"""Evaluates the IR in torch, at any stage of the passes."""

import torch
from torch.nn import functional as F

from stemcore.golden.network.network import INPUT

from ..errors import CaptureError
from .graph import (
    Add,
    AveragePool,
    BatchNorm,
    Clamp,
    Concat,
    Conv,
    Flatten,
    FloatArray,
    Graph,
    Layer,
    Linear,
    MaxPool,
    Op,
    ZeroPad,
)


def run_graph(
    graph: Graph, x: torch.Tensor, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Real values (N, C, H, W) of the input and of every node, at any stage of the passes.

    Flat tensors have the shape (N, C, 1, 1).
    """
    values = {INPUT: x.to(dtype)}
    with torch.no_grad():
        for node in graph.nodes:
            values[node.name] = _run_op(node.op, [values[name] for name in node.inputs], dtype)
    return values


def _run_op(op: Op, inputs: list[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    def tensor(array: FloatArray) -> torch.Tensor:
        return torch.tensor(array, dtype=dtype)

    x = inputs[0]
    match op:
        case Conv():
            weight, bias = tensor(op.weight), tensor(op.bias)
            return F.conv2d(x, weight, bias, op.stride, op.padding, 1, op.groups)
        case Linear():
            return F.linear(x.flatten(1), tensor(op.weight), tensor(op.bias))[:, :, None, None]
        case BatchNorm():
            return x * tensor(op.scale)[:, None, None] + tensor(op.offset)[:, None, None]
        case Clamp():
            return x.clamp(op.low, op.high)
        case MaxPool():
            return F.max_pool2d(x, op.kernel, op.stride, op.padding)
        case AveragePool():
            divisor = op.divisor
            return F.avg_pool2d(x, op.kernel, op.stride, op.padding, divisor_override=divisor)
        case Add():
            return x + inputs[-1]
        case Flatten():
            return x.flatten(1)[:, :, None, None]
        case Concat():
            return torch.cat(inputs, 1)
        case ZeroPad():
            (above, left), (below, right) = op.before, op.after
            return F.pad(x, (left, right, above, below))
        case Layer():
            total = tensor(op.bias)[:, None, None]
            for branch, source in zip(op.branches, inputs, strict=True):
                weight = tensor(branch.weight)
                total = total + F.conv2d(
                    source, weight, None, branch.stride, branch.padding, 1, branch.groups
                )
            total = total if op.clamp is None else _run_op(op.clamp, [total], dtype)
            return total if op.pool is None else _run_op(op.pool, [total], dtype)
    raise CaptureError("run_graph", f"every operator must be supported: {op.problem}", op.remedy)
