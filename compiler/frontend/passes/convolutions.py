# SPDX-License-Identifier: Apache-2.0
"""Operators that are convolutions in another spelling become convolutions."""

from dataclasses import replace

from ..graph import Graph, Node
from ..ops.convolution import Conv
from ..ops.zero_pad import ZeroPad


def absorb_padding(graph: Graph) -> Graph:
    """No convolution reads a zero padding: it pads itself."""
    padded = {node.name: node for node in graph.nodes if isinstance(node.op, ZeroPad)}
    nodes: list[Node] = []
    for node in graph.nodes:
        before = padded.get(node.inputs[0])
        if isinstance(node.op, Conv) and before is not None:
            # What the padding reads may be another: that one becomes a convolution of its own.
            assert isinstance(before.op, ZeroPad)
            node = replace(node, op=before.op.joined_to(node.op), inputs=before.inputs)
        nodes.append(node)
    return graph.with_nodes(nodes)


def make_convolutions(graph: Graph) -> Graph:
    """No operator is left that says of itself how it is a convolution."""
    nodes: list[Node] = []
    for node in graph.nodes:
        conv = node.op.as_convolution(graph.shape_of(node.inputs[0]))
        nodes.append(node if conv is None else replace(node, op=conv))
    return graph.with_nodes(nodes)
