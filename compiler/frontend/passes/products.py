# SPDX-License-Identifier: Apache-2.0
"""Products, and constants behind functions, that are themselves functions of one value."""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.batch_norm import BatchNorm
from ..ops.clamp import Clamp
from ..ops.fake_quantize import FakeQuantize
from ..ops.operator import Operator
from ..ops.pointwise import Pointwise
from ..ops.product import Affine, Product, ProductOf

Chain = tuple[Pointwise | Clamp | FakeQuantize, ...]


def fold_products(graph: Graph) -> Graph:
    """No product is left: one of two functions of the same value is a function of it, as in
    ``x * sigmoid(x)``; others say why they cannot be compiled."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, Product):
            node = _folded(node, node.op, nodes)
        nodes[node.name] = node
    return graph.with_nodes(nodes.values())


def _folded(node: Node, op: Product, nodes: dict[str, Node]) -> Node:
    left, right = (_ancestors(name, nodes) for name in (node.inputs[0], node.inputs[-1]))
    for name, chain in left.items():  # the nearest one first
        if name in right:
            return replace(node, op=ProductOf(chain, right[name]), inputs=(name,))
    return replace(node, op=op.refusal)


def _ancestors(name: str, nodes: dict[str, Node]) -> dict[str, Chain]:
    """The values that one is a function of, itself first, with the functions that lead to it."""
    chain: Chain = ()
    found = {name: chain}
    while name != INPUT:
        function = _as_function(nodes[name].op)
        if function is None:
            break
        name, chain = nodes[name].inputs[0], (function, *chain)
        found[name] = chain
    return found


def _as_function(op: Operator) -> Pointwise | Clamp | FakeQuantize | None:
    """An operator as a function of one value, the same for all channels; None for all others."""
    if isinstance(op, Pointwise | Clamp | FakeQuantize):
        return op
    if isinstance(op, BatchNorm) and np.ptp(op.scale) == 0 and np.ptp(op.offset) == 0:
        return Affine(float(op.scale[0]), float(op.offset[0]))
    return None


def absorb_constants(graph: Graph) -> Graph:
    """A factor and an offset, alike for all channels, behind a function are a function as well."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        if isinstance(node.op, BatchNorm) and before and isinstance(before.op, Pointwise):
            node = replace(node, op=_as_function(node.op) or node.op)
        nodes[node.name] = node
    return graph.with_nodes(nodes.values())
