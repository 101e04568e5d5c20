# SPDX-License-Identifier: Apache-2.0
"""Batch norm, or products with constants, between a flattened image and a dense layer."""

from dataclasses import replace

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.batch_norm import BatchNorm
from ..ops.dense import Linear
from ..ops.layout import Flatten


def fold_flat_norm(graph: Graph) -> Graph:
    """A batch norm over a flattened image that only dense layers read becomes part of these.

    It has a factor for every position, which neurons of a channel could not have; a dense layer
    has a weight for every position. ``W (s x + o) + b = (W s) x + (W o + b)``.
    """
    replaced: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, BatchNorm) or node.inputs[0] == INPUT or node.name in graph.ends:
            continue
        readers = [reader for reader in graph.nodes if node.name in reader.inputs]
        is_flat = isinstance(graph.node(node.inputs[0]).op, Flatten)
        if is_flat and all(isinstance(reader.op, Linear) for reader in readers):
            renamed[node.name] = node.inputs[0]
            for reader in readers:
                assert isinstance(reader.op, Linear)
                weight = reader.op.weight
                dense = replace(
                    reader.op,
                    weight=weight * op.scale,
                    bias=reader.op.bias + weight @ op.offset,
                    step=None,  # inputs of one channel differ in their factors
                )
                replaced[reader.name] = replace(reader, op=dense)
    return graph.with_replaced(replaced, renamed) if renamed else graph
