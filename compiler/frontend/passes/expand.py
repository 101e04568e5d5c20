# SPDX-License-Identifier: Apache-2.0
"""Operators that are several others in one call become these."""

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node
from ..ops.addition import Add
from ..ops.batch_norm import BatchNorm
from ..ops.channel_prelu import ChannelPReLU
from ..ops.clamp import Clamp
from ..ops.maximum import Extreme
from ..ops.operator import FloatArray


def expand(graph: Graph) -> Graph:
    """No PReLU with several slopes and no maximum of two tensors is left: ReLUs and sums are."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, ChannelPReLU):
            nodes += _prelu(node, node.op)
        elif isinstance(node.op, Extreme):
            nodes += _extreme(node, node.op)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)


def _prelu(node: Node, op: ChannelPReLU) -> list[Node]:
    """``slope * x + (1 - slope) * relu(x)``."""
    (source,) = node.inputs
    positive, below, above = (f"{node.name}.{part}" for part in ("positive", "all", "above"))
    return [
        Node(positive, Clamp(), (source,), node.shape),
        Node(below, _scaled(op.slopes), (source,), node.shape),
        Node(above, _scaled(1 - op.slopes), (positive,), node.shape),
        replace(node, op=Add(), inputs=(below, above)),
    ]


def _scaled(factors: FloatArray) -> BatchNorm:
    return BatchNorm(factors, np.zeros_like(factors))


def _extreme(node: Node, op: Extreme) -> list[Node]:
    """``b + relu(a - b)``, or ``b - relu(b - a)``."""
    a, b = node.inputs
    sign = 1.0 if op.is_maximum else -1.0
    difference, positive = f"{node.name}.difference", f"{node.name}.positive"
    return [
        Node(difference, Add((sign, -sign)), (a, b), node.shape),
        Node(positive, Clamp(), (difference,), node.shape),
        replace(node, op=Add((1.0, sign)), inputs=(b, positive)),
    ]
