# SPDX-License-Identifier: Apache-2.0
"""Passes on captured operators: order, batch norm, flat tensors, and one layer per operator."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.addition import Add
from ..ops.batch_norm import BatchNorm
from ..ops.clamp import Clamp
from ..ops.convolution import Conv
from ..ops.dense import Linear
from ..ops.layer import Branch, Layer
from ..ops.layout import Flatten
from ..ops.offset import One
from ..ops.operator import FloatArray, IntArray, Operator
from ..ops.pointwise import Pointwise
from ..ops.pooling import MAX_POOLINGS
from ..ops.transposed_convolution import TransposedConv
from .connections import LINEAR, branch_of, scaled_identity


def hoist_functions(graph: Graph) -> Graph:
    """Functions of one value come before the flattening that they followed, increasing ones also
    before a max pooling.

    Both orders compute the same.
    """
    graph = hoist(graph, lambda op: isinstance(op, Clamp | Pointwise), (Flatten,))
    return hoist(
        graph,
        lambda op: isinstance(op, Clamp) or (isinstance(op, Pointwise) and op.is_increasing),
        (*MAX_POOLINGS, Flatten),
    )


def hoist_batch_norm(graph: Graph) -> Graph:
    """Batch norms without a negative or zero scale come before the max pooling that they followed.

    Both orders compute the same: such a batch norm is increasing in every channel.
    """
    return hoist(
        graph, lambda op: isinstance(op, BatchNorm) and bool((op.scale > 0).all()), MAX_POOLINGS
    )


def hoist(graph: Graph, moves: Callable[[Operator], bool], over: tuple[type, ...]) -> Graph:
    """Nodes whose operator ``moves`` change places with an operator of ``over`` before them."""
    while True:
        for node in graph.nodes:
            if moves(node.op) and node.inputs[0] != INPUT:
                first = graph.node(node.inputs[0])
                if isinstance(first.op, over) and graph.n_users(first.name) == 1:
                    graph = _swap(graph, first, node)
                    break
        else:
            return graph


def _swap(graph: Graph, first: Node, second: Node) -> Graph:
    """``second`` before ``first``; users of ``second`` read ``first``."""
    nodes = []
    for node in graph.nodes:
        if node.name == second.name:
            source = graph.shape_of(first.inputs[0])
            nodes.append(Node(second.name, second.op, first.inputs, source))
            nodes.append(Node(first.name, first.op, (second.name,), first.shape))
        elif node.name != first.name:
            inputs = tuple(first.name if i == second.name else i for i in node.inputs)
            nodes.append(replace(node, inputs=inputs))
    return graph.with_nodes(nodes, lambda name: first.name if name == second.name else name)


def fold_batch_norm(graph: Graph) -> Graph:
    """No batch norm follows a convolution or dense layer of its own; in float64.

    Others become depthwise 1 x 1 convolutions.
    """
    replaced: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if not isinstance(node.op, BatchNorm):
            continue
        scale, offset = node.op.scale, node.op.offset
        # Batch norms in a row: the first may have been folded already.
        source_name = renamed.get(node.inputs[0], node.inputs[0])
        source = None if source_name == INPUT else graph.node(source_name)
        if source is not None:
            source = replaced.get(source.name, source)
        if (
            source is not None
            and isinstance(source.op, (Conv, TransposedConv, Linear))
            and graph.n_users(node.inputs[0]) == 1
        ):
            weight = source.op.weight * scale.reshape(-1, *[1] * (source.op.weight.ndim - 1))
            bias = source.op.bias * scale + offset
            step = None if source.op.step is None else source.op.step * np.abs(scale)
            folded = replace(source.op, weight=weight, bias=bias, step=step)
            replaced[source.name] = replace(source, op=folded)
            renamed[node.name] = source.name
        else:
            replaced[node.name] = replace(node, op=node.op.depthwise())
    return graph.with_replaced(replaced, renamed)


def absorb_flatten(graph: Graph) -> Graph:
    """Dense layers are convolutions, with the kernel (H, W) of what was flattened; no flattening.

    A flattened output keeps its shape (C, H, W): the order of its elements is the same.
    """
    replaced: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    orders: dict[str, IntArray | None] = {}
    for node in graph.nodes:
        if isinstance(node.op, Flatten):
            renamed[node.name] = node.inputs[0]
            orders[node.name] = node.op.order
        elif isinstance(node.op, Linear):
            source = renamed.get(node.inputs[0], node.inputs[0])
            dense = node.op.in_order(orders.get(node.inputs[0]))
            replaced[node.name] = replace(node, op=dense.over_image(graph.shape_of(source)))
    return graph.with_replaced(replaced, renamed)


def make_layers(graph: Graph) -> Graph:
    """Convolutions, average poolings and additions are layers; clamps and max poolings remain."""
    nodes = []
    for node in graph.nodes:
        op, inputs = node.op, node.inputs
        if isinstance(op, LINEAR):
            branch = branch_of(op, inputs[0], graph.shape_of(inputs[0]))
            bias = np.full(node.shape[0], float(isinstance(op, One)))
            if isinstance(op, Conv | TransposedConv):
                bias = op.bias
            node = layer_node(node, (branch,), bias, graph)
        elif isinstance(op, Add):
            branches = tuple(
                scaled_identity(inputs[i if len(inputs) > 1 else 0], node.shape, factor)
                for i, factor in enumerate(op.factors)
            )
            node = layer_node(node, branches, np.zeros(node.shape[0]), graph)
        nodes.append(node)
    return graph.with_nodes(nodes)


def layer_node(node: Node, branches: tuple[Branch, ...], bias: FloatArray, graph: Graph) -> Node:
    """A ``Layer`` in place of ``node``."""
    shape = branches[0].output_shape(graph.shape_of(branches[0].source))
    layer = Layer(branches, bias, shape)
    return Node(node.name, layer, tuple(branch.source for branch in branches), shape)
