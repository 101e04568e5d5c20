# SPDX-License-Identifier: Apache-2.0
"""Evaluates the float graph in torch, at any stage of the passes."""

import torch

from stemcore.golden.network.network import INPUT

from ..errors import CaptureError
from .graph import Graph
from .ops.operator import Unsupported


def run_graph(
    graph: Graph, x: torch.Tensor, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Real values (N, C, H, W) of the input and of every node, by name.

    Flat tensors have the shape (N, C, 1, 1). ``CaptureError`` names the first operator that cannot
    be compiled, which has no reference.
    """
    values = {INPUT: x.to(dtype)}
    with torch.no_grad():
        for node in graph.nodes:
            if isinstance(node.op, Unsupported):
                raise CaptureError(node.name, node.op.problem, node.op.remedy)
            values[node.name] = node.op.run([values[name] for name in node.inputs])
    return values
