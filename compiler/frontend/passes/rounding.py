# SPDX-License-Identifier: Apache-2.0
"""Passes on quantized graphs: each rounding becomes part of the layer whose values it rounds."""

import math
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.fake_quantize import FakeQuantize
from ..ops.layer import AVERAGE, IDENTITY, Layer
from ..ops.layout import Flatten
from ..ops.pooling import MAX_POOLINGS
from .connections import identity
from .normalize import hoist

_KEEPS_GRID = (*MAX_POOLINGS, Flatten)  # values that come out are among those that went in


def hoist_rounding(graph: Graph) -> Graph:
    """Roundings come before the max pooling and flattening that they followed; none is idle.

    Both orders compute the same: a rounding is monotone and works element by element.
    """
    graph = hoist(graph, lambda op: isinstance(op, FakeQuantize), _KEEPS_GRID)
    idle = {node.name: node.inputs[0] for node in graph.nodes if _is_idle(graph, node.name)}
    return graph.with_replaced({}, idle)


def _is_idle(graph: Graph, name: str) -> bool:
    """Whether a rounding reads values that an earlier one has brought onto its grid."""
    op = graph.node(name).op
    if not isinstance(op, FakeQuantize):
        return False
    before = graph.node(name).inputs[0]
    while before != INPUT and isinstance(graph.node(before).op, _KEEPS_GRID):
        before = graph.node(before).inputs[0]
    if before == INPUT:
        return False
    earlier = graph.node(before).op
    return (
        isinstance(earlier, FakeQuantize)
        and earlier.scale == op.scale
        and op.low <= earlier.low
        and earlier.high <= op.high
    )


def drop_input_rounding(graph: Graph, source: str, scale: float, limits: tuple[int, int]) -> Graph:
    """No rounding is left that changes none of the integers of the input ``source``, which are
    worth ``scale``."""
    idle = {}
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, FakeQuantize) or node.inputs != (source,):
            continue
        is_wide = op.low <= limits[0] and op.high >= limits[1]
        if is_wide and math.isclose(op.scale, scale, rel_tol=1e-6):  # one may come from float32
            idle[node.name] = source
    return graph.with_replaced({}, idle)


def fuse_rounding(graph: Graph) -> Graph:
    """No rounding is left: each is part of the layer before it, or of an identity layer."""
    while True:
        node = next((node for node in graph.nodes if isinstance(node.op, FakeQuantize)), None)
        if node is None:
            return graph
        assert isinstance(node.op, FakeQuantize)
        name = node.inputs[0]
        source = None if name == INPUT else graph.node(name)
        if (
            source is not None
            and isinstance(source.op, Layer)
            and source.op.pool is None
            and source.op.rounding is None
            and graph.n_users(name) == 1
        ):
            fused = replace(source, op=replace(source.op, rounding=node.op))
            graph = graph.with_replaced({name: fused}, {node.name: name})
        else:
            shape = graph.shape_of(name)
            branch = identity(name, shape)
            layer = Layer((branch,), np.zeros(shape[0]), shape, rounding=node.op)
            graph = graph.with_replaced({node.name: replace(node, op=layer)}, {})


def fuse_indices(graph: Graph) -> Graph:
    """A function of the integers of one layer is part of that layer, where nobody else reads them.

    The layer's rounding becomes the first function of the chain. A copy that computes a function
    of integers with other readers stays a layer of its own.
    """
    while True:
        found = next((node for node in graph.nodes if _reads_integers(graph, node)), None)
        if found is None:
            return graph
        source = graph.node(found.inputs[0])
        first, second = source.op, found.op
        assert isinstance(first, Layer) and isinstance(second, Layer) and first.rounding
        index = first.rounding if first.clamp is None else replace(first.rounding, low=0)
        fused = replace(
            first,
            clamp=None,
            function=(index, *second.function),
            rounding=second.rounding,
        )
        graph = graph.with_replaced(
            {source.name: replace(source, op=fused)}, {found.name: source.name}
        )


def _reads_integers(graph: Graph, node: Node) -> bool:
    """Whether a layer computes a function of what one other layer alone rounds for it."""
    layer = node.op
    if not isinstance(layer, Layer) or not layer.function or node.inputs[0] == INPUT:
        return False
    is_copy = len(layer.branches) == 1 and layer.branches[0].kind == IDENTITY
    if not is_copy or layer.branches[0].taps is not None or layer.bias.any() or layer.clamp:
        return False
    source = graph.node(node.inputs[0])
    first = source.op
    return (
        isinstance(first, Layer)
        and not isinstance(layer.function[0], FakeQuantize)
        and first.rounding is not None
        and not first.function
        and first.pool is None
        and (first.clamp is None or first.clamp.high is None)
        and all(branch.kind != AVERAGE for branch in first.branches)
        and graph.n_users(source.name) == 1
    )
