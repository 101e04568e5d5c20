# SPDX-License-Identifier: Apache-2.0
"""Layers that read one of several inputs read its channels and positions of the input of all."""

from dataclasses import replace

from stemcore.golden.network.taps import Taps, window_taps

from ..graph import Graph, Node
from ..ops.input_part import ReadInput
from ..ops.layer import Branch, Layer
from ..ops.operator import Shape


def read_input_parts(graph: Graph) -> Graph:
    """No input of several is left: connections have its channels and its rows and columns."""
    parts = {node.name: node for node in graph.nodes if isinstance(node.op, ReadInput)}
    if not parts:
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in parts:
            continue
        if isinstance(node.op, Layer):
            branches = tuple(
                _of_all(branch, parts[branch.source], graph.input_shape)
                if branch.source in parts
                else branch
                for branch in node.op.branches
            )
            inputs = tuple(branch.source for branch in branches)
            node = replace(node, op=replace(node.op, branches=branches), inputs=inputs)
        nodes.append(node)
    return graph.with_nodes(nodes)


def _of_all(branch: Branch, part: Node, shape: Shape) -> Branch:
    """A connection from one input as a connection from the input of all, of ``shape``."""
    assert isinstance(part.op, ReadInput)
    branch = replace(branch, source=part.inputs[0], channels=part.op.channels)
    if part.op.size == shape[1:]:
        return branch
    taps = branch.taps
    if taps is None:
        kernel = branch.weight.shape[2:]
        taps = (
            window_taps(part.op.size[0], kernel[0], branch.stride[0], branch.padding[0]),
            window_taps(part.op.size[1], kernel[1], branch.stride[1], branch.padding[1]),
        )
    rows, columns = (_longer(one, size) for one, size in zip(taps, shape[1:], strict=True))
    return replace(branch, stride=(1, 1), padding=(0, 0), rows=rows, columns=columns)


def _longer(taps: Taps, size: int) -> Taps:
    """The same taps of a source with more positions, which reach nothing."""
    more = (0,) * (size - taps.size)
    return replace(taps, first=taps.first + more, count=taps.count + more, index=taps.index + more)
