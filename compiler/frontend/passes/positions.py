# SPDX-License-Identifier: Apache-2.0
"""Values that depend on the position: constants of an image, and dense layers that make images.

Neurons of a channel share their bias. What differs between positions comes from a neuron that
always fires: a connection from it has a weight for every position.
"""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.addition import Add
from ..ops.batch_norm import BatchNorm
from ..ops.convolution import Conv
from ..ops.dense import Linear
from ..ops.layout import Flatten
from ..ops.offset import Offset, One, split_offset
from ..ops.transposed_convolution import TransposedConv
from ..ops.unflatten import Unflatten


def absorb_unflatten(graph: Graph) -> Graph:
    """No vector that a dense layer makes of another becomes an image: the layer makes the image.

    Functions of single values between both come behind, batch norms become part of the layer. Where
    the dense layer reads an image, the vector is copied into the image instead.
    """
    for name in [node.name for node in graph.nodes if isinstance(node.op, Unflatten)]:
        dense = _dense_before(graph, name)
        while dense is not None and graph.node(name).inputs[0] != dense.name:
            between = graph.node(graph.node(name).inputs[0])
            if between.op.is_pointwise:
                graph = _swap(graph, between, graph.node(name))
            else:
                graph, dense = _with_norm(graph, dense, between)
        if dense is not None:
            graph = _make_image(graph, dense, graph.node(name))
    return graph


def _dense_before(graph: Graph, name: str) -> Node | None:
    """The dense layer of a vector that an image is made of; None where nothing can be joined."""
    node = graph.node(name)
    while node.inputs[0] != INPUT:
        node = graph.node(node.inputs[0])
        if graph.n_users(node.name) > 1:
            return None
        if isinstance(node.op, Linear):
            # Integer weights of a quantized model stay as they are.
            is_free = node.op.step is None and not _is_image(graph, node.inputs[0])
            return node if is_free else None
        reads_dense = node.inputs[0] != INPUT and isinstance(graph.node(node.inputs[0]).op, Linear)
        if not (node.op.is_pointwise or (isinstance(node.op, BatchNorm) and reads_dense)):
            return None
    return None


def _is_image(graph: Graph, name: str) -> bool:
    """Whether a value has positions, or had before it was flattened."""
    if graph.shape_of(name)[1:] != (1, 1):
        return True
    if name == INPUT:
        return False
    node = graph.node(name)
    if isinstance(node.op, Flatten):
        return True
    return node.op.keeps_flattening and any(_is_image(graph, source) for source in node.inputs)


def _with_norm(graph: Graph, dense: Node, norm: Node) -> tuple[Graph, Node]:
    """A batch norm as part of the dense layer that it reads."""
    assert isinstance(dense.op, Linear)
    assert isinstance(norm.op, BatchNorm)
    assert norm.inputs == (dense.name,)
    scale = norm.op.scale
    op = replace(
        dense.op,
        weight=dense.op.weight * scale[:, None],
        bias=dense.op.bias * scale + norm.op.offset,
    )
    dense = replace(dense, op=op)
    return graph.with_replaced({dense.name: dense}, {norm.name: dense.name}), dense


def _make_image(graph: Graph, dense: Node, image: Node) -> Graph:
    """The dense layer and the image it becomes as one transposed convolution of 1 x 1 positions."""
    assert isinstance(dense.op, Linear)
    assert isinstance(image.op, Unflatten)
    features = image.op.features
    conv = TransposedConv(dense.op.weight[features].transpose(0, 3, 1, 2), np.zeros(len(features)))
    made = [replace(dense, op=conv, shape=image.shape)]
    if dense.op.bias.any():
        name = f"{dense.name}.sum"
        made = [
            Node(name, conv, dense.inputs, image.shape),
            Node(dense.name, Offset(dense.op.bias[features]), (name,), image.shape),
        ]
    nodes = [n for old in graph.nodes for n in (made if old.name == dense.name else [old])]
    return graph.with_nodes(nodes).with_replaced({}, {image.name: dense.name})


def _swap(graph: Graph, before: Node, image: Node) -> Graph:
    """``image`` in front of the function ``before``."""
    nodes = []
    for node in graph.nodes:
        if node is before:
            continue
        if node is image:
            nodes.append(replace(image, inputs=before.inputs))
            nodes.append(replace(before, inputs=(image.name,), shape=image.shape))
            continue
        inputs = tuple(before.name if name == image.name else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    return graph.with_nodes(nodes, lambda name: before.name if name == image.name else name)


def add_offsets(graph: Graph) -> Graph:
    """No constant of an image is left: it is a bias and a connection from a neuron that is 1."""
    if not any(isinstance(node.op, Offset) for node in graph.nodes):
        return graph
    one = "one"
    while one in {node.name for node in graph.nodes}:
        one += "_"
    nodes = [Node(one, One(), (INPUT,), (1, 1, 1))]
    for node in graph.nodes:
        if not isinstance(node.op, Offset):
            nodes.append(node)
            continue
        bias, rest = split_offset(node.op.offset)
        if not rest.any():
            copy = Conv(np.ones((len(bias), 1, 1, 1)), bias, groups=len(bias))
            nodes.append(replace(node, op=copy))
            continue
        name = f"{node.name}.constant"
        nodes.append(Node(name, TransposedConv(rest, bias), (one,), node.shape))
        nodes.append(replace(node, op=Add(), inputs=(*node.inputs, name)))
    return graph.with_nodes(nodes)
