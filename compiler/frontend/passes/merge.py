# SPDX-License-Identifier: Apache-2.0
"""Passes on layers: additions, clamps and max poolings join the layer that they follow."""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import AVERAGE, IDENTITY, Branch, Clamp, Graph, Layer, MaxPool, Node
from .normalize import identity


def merge_addition(graph: Graph) -> Graph:
    """Identity connections do not start at a layer that only adds weighted sums.

    The sum of two convolutions, or of a convolution and an activation, is one layer with two
    connections. An average pooling stays a layer of its own: its rounding is exact there.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, Layer):
            branches: list[Branch] = []
            bias = node.op.bias
            for branch in node.op.branches:
                inner = nodes.get(branch.source)
                if (
                    branch.kind == IDENTITY
                    and _is_bare(inner)
                    and graph.n_users(branch.source) == 1
                ):
                    assert inner is not None
                    assert isinstance(inner.op, Layer)
                    branches.extend(inner.op.branches)
                    bias = bias + inner.op.bias
                else:
                    branches.append(branch)
            layer = replace(node.op, branches=_merge_equal(branches), bias=bias)
            node = replace(node, op=layer, inputs=tuple(b.source for b in layer.branches))
        nodes[node.name] = node
    return graph.with_nodes(nodes.values())


def _is_bare(node: Node | None) -> bool:
    """Whether a node is a plain weighted sum."""
    return (
        node is not None
        and isinstance(node.op, Layer)
        and node.op.clamp is None
        and node.op.pool is None
        and all(branch.kind != AVERAGE for branch in node.op.branches)
    )


def _merge_equal(branches: list[Branch]) -> tuple[Branch, ...]:
    """Branches of one source and geometry as one: weights add up."""
    merged: list[Branch] = []
    for branch in branches:
        for i, other in enumerate(merged):
            same = (branch.source, branch.stride, branch.padding, branch.groups) == (
                other.source,
                other.stride,
                other.padding,
                other.groups,
            )
            if same and branch.weight.shape == other.weight.shape:
                # The sum of two identities is a weight of 2, which needs a scale like any other.
                weight = branch.weight + other.weight
                merged[i] = replace(other, weight=weight, kind="learned")
                break
        else:
            merged.append(branch)
    return tuple(merged)


def fuse_clamp(graph: Graph) -> Graph:
    """No clamp is left: each is part of its layer, or of an identity layer."""
    while True:
        for node in graph.nodes:
            if isinstance(node.op, Clamp):
                graph = _fuse_clamp(graph, node, node.op)
                break
        else:
            return graph


def _fuse_clamp(graph: Graph, node: Node, clamp: Clamp) -> Graph:
    source_name = node.inputs[0]
    source = None if source_name == INPUT else graph.node(source_name)
    if (
        source is not None
        and isinstance(source.op, Layer)
        and source.op.pool is None
        and graph.n_users(source_name) == 1
    ):
        highs = [c.high for c in (source.op.clamp, clamp) if c is not None and c.high is not None]
        both = Clamp(0.0, min(highs) if highs else None)
        fused = replace(source, op=replace(source.op, clamp=both))
        return graph.with_replaced({source_name: fused}, {node.name: source_name})
    shape = graph.shape_of(source_name)
    layer = Layer((identity(source_name, shape),), np.zeros(shape[0]), shape, clamp)
    return graph.with_replaced({node.name: replace(node, op=layer)}, {})


def fuse_max_pool(graph: Graph) -> Graph:
    """No max pooling is left: each is part of its layer, or of an identity layer."""
    while True:
        for node in graph.nodes:
            if isinstance(node.op, MaxPool):
                graph = _fuse_max_pool(graph, node, node.op)
                break
        else:
            return graph


def _fuse_max_pool(graph: Graph, node: Node, pool: MaxPool) -> Graph:
    source_name = node.inputs[0]
    source = None if source_name == INPUT else graph.node(source_name)
    if (
        source is not None
        and isinstance(source.op, Layer)
        and source.op.pool is None
        and graph.n_users(source_name) == 1
    ):
        fused = replace(source, op=replace(source.op, pool=pool), shape=node.shape)
        return graph.with_replaced({source_name: fused}, {node.name: source_name})
    shape = graph.shape_of(source_name)
    layer = Layer((identity(source_name, shape),), np.zeros(shape[0]), shape, pool=pool)
    return graph.with_replaced({node.name: replace(node, op=layer)}, {})
