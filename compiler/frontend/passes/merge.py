# SPDX-License-Identifier: Apache-2.0
"""Passes on layers: additions, functions and max poolings join the layer that they follow."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.clamp import Clamp
from ..ops.layer import AVERAGE, IDENTITY, LEARNED, Branch, Layer
from ..ops.operator import FloatArray, Operator
from ..ops.pointwise import Pointwise
from ..ops.pooling import MAX_POOLINGS
from .connections import identity


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
                    and branch.taps is None
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
        and node.op.rounding is None
        and not node.op.function
        and node.op.pool is None
        and all(branch.kind != AVERAGE for branch in node.op.branches)
    )


def _merge_equal(branches: list[Branch]) -> tuple[Branch, ...]:
    """Branches of one source and geometry as one: weights add up."""
    merged: list[Branch] = []
    for branch in branches:
        for i, other in enumerate(merged):
            same = _geometry(branch) == _geometry(other)
            if same and branch.weight.shape == other.weight.shape:
                # The sum of two identities is a weight of 2, which needs a scale like any other.
                weight = branch.weight + other.weight
                merged[i] = replace(
                    other, weight=weight, kind=LEARNED, step=_common_step(branch, other)
                )
                break
        else:
            merged.append(branch)
    return tuple(merged)


def _geometry(branch: Branch) -> tuple[object, ...]:
    return branch.source, branch.stride, branch.padding, branch.groups, branch.taps, branch.channels


def _common_step(first: Branch, second: Branch) -> FloatArray | None:
    """The step of two connections' weights; None where they differ in it, or have none."""
    if first.step is None or second.step is None:
        return None
    return first.step if np.array_equal(first.step, second.step) else None


def fuse_functions(graph: Graph) -> Graph:
    """No clamp and no other function of one value is left: each is part of the layer before it, or
    of an identity layer."""

    def with_function(layer: Layer, op: Operator) -> Layer:
        assert isinstance(op, Clamp | Pointwise)
        if isinstance(op, Clamp) and not layer.function:
            highs = [c.high for c in (layer.clamp, op) if c is not None and c.high is not None]
            return replace(layer, clamp=Clamp(0.0, min(highs) if highs else None))
        before = layer.function if layer.clamp is None else (layer.clamp,)
        return replace(layer, clamp=None, function=(*before, op))

    return _fuse(graph, (Clamp, Pointwise), with_function)


def fuse_max_pool(graph: Graph) -> Graph:
    """No max pooling is left: each is part of the layer before it, or of an identity layer."""

    def with_pool(layer: Layer, pool: Operator) -> Layer:
        assert isinstance(pool, MAX_POOLINGS)
        return replace(layer, pool=pool)

    return _fuse(graph, MAX_POOLINGS, with_pool)


def _fuse(
    graph: Graph, kind: type | tuple[type, ...], into: Callable[[Layer, Operator], Layer]
) -> Graph:
    """Operators of one kind, each taken ``into`` a layer.

    Into the one before it, where that has no pooling and no other reader; else into a new layer of
    identity connections.
    """
    while True:
        node = next((node for node in graph.nodes if isinstance(node.op, kind)), None)
        if node is None:
            return graph
        name = node.inputs[0]
        source = None if name == INPUT else graph.node(name)
        if (
            source is not None
            and isinstance(source.op, Layer)
            and source.op.pool is None
            and graph.n_users(name) == 1
        ):
            fused = replace(source, op=into(source.op, node.op), shape=node.shape)
            graph = graph.with_replaced({name: fused}, {node.name: name})
        else:
            shape = graph.shape_of(name)
            layer = Layer((identity(name, shape),), np.zeros(shape[0]), shape)
            graph = graph.with_replaced({node.name: replace(node, op=into(layer, node.op))}, {})
