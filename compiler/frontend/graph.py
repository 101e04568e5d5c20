# SPDX-License-Identifier: Apache-2.0
"""The captured float graph: frozen nodes with integer shapes (C, H, W), no batch dimension.

Capture writes every operator but ``Layer``; the passes rewrite until only ``Layer`` is left.
Flat tensors have the shape (C, 1, 1). Weights are float64 arrays that nobody writes to.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.windows import window_shape

Shape = tuple[int, int, int]
Pair = tuple[int, int]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Conv:
    """Grouped convolution; weight (O, C / groups, K_y, K_x), bias (O,)."""

    weight: FloatArray
    bias: FloatArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Linear:
    """Dense layer over a flat tensor; weight (O, I), bias (O,)."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Inference form: ``y[c] = scale[c] * x[c] + offset[c]``."""

    scale: FloatArray
    offset: FloatArray


@dataclass(frozen=True)
class Clamp:
    """``min(max(x, low), high)``; ReLU is ``low = 0`` and ``high = None`` (no upper limit)."""

    low: float = 0.0
    high: float | None = None


@dataclass(frozen=True)
class MaxPool:
    """Maximum; windows are clipped at the border."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


@dataclass(frozen=True)
class AveragePool:
    """Sum over the window, zeros at the border, divided by ``divisor``."""

    kernel: Pair
    stride: Pair
    padding: Pair
    divisor: int


@dataclass(frozen=True)
class Add:
    """Sum of two tensors of one shape."""


@dataclass(frozen=True)
class Flatten:
    """(C, H, W) to (C * H * W, 1, 1), rows first."""


@dataclass(frozen=True)
class Concat:
    """Channels of tensors of one height and width, one after another."""


@dataclass(frozen=True)
class ZeroPad:
    """Rows and columns of zeros: (y, x) before the first, and after the last."""

    before: Pair
    after: Pair


@dataclass(frozen=True)
class Unsupported:
    """An operator that has no spiking form; the compatibility check reports it."""

    problem: str
    remedy: str


LEARNED, IDENTITY, AVERAGE = "learned", "identity", "average"


@dataclass(frozen=True, eq=False)
class Branch:
    """One connection of a layer: a grouped convolution without bias.

    ``kind`` says how its weights may be quantized: LEARNED ones get a scale each; IDENTITY is 1 x 1
    depthwise with weights 1; AVERAGE is depthwise with one constant for all.
    """

    source: str
    weight: FloatArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    kind: str = LEARNED


@dataclass(frozen=True, eq=False)
class Layer:
    """What one population of neurons computes: connections, bias, clamp, max pooling."""

    branches: tuple[Branch, ...]
    bias: FloatArray
    shape: Shape  # before pooling
    clamp: Clamp | None = None
    pool: MaxPool | None = None


Op = (
    Conv
    | Linear
    | BatchNorm
    | Clamp
    | MaxPool
    | AveragePool
    | Add
    | Flatten
    | Concat
    | ZeroPad
    | Unsupported
    | Layer
)


@dataclass(frozen=True, eq=False)
class Node:
    """One operator: its name (the path of its module), operands and output shape."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which every operand comes before its use; ``INPUT`` names the input."""

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    output: str

    def shape_of(self, name: str) -> Shape:
        """Shape of a node or of the input."""
        if name == INPUT:
            return self.input_shape
        return self.node(name).shape

    def node(self, name: str) -> Node:
        """The node called ``name``; ``KeyError`` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def n_users(self, name: str) -> int:
        """How often a value is used; being the graph's output counts as one."""
        return sum(node.inputs.count(name) for node in self.nodes) + (name == self.output)

    def with_nodes(self, nodes: Iterable[Node], output: str | None = None) -> "Graph":
        """The same network with other nodes, without those that the output does not need."""
        kept = tuple(nodes)
        output = self.output if output is None else output
        needed = {output}
        for node in reversed(kept):
            if node.name in needed:
                needed.update(node.inputs)
        return Graph(
            self.name, self.input_shape, tuple(n for n in kept if n.name in needed), output
        )

    def with_replaced(self, replacements: dict[str, Node], renamed: dict[str, str]) -> "Graph":
        """Nodes exchanged by name, and operands ``renamed`` from old value to new value."""

        def resolve(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        nodes = []
        for old in self.nodes:
            node = replacements.get(old.name, old)
            op = node.op
            if isinstance(op, Layer):
                branches = tuple(
                    Branch(resolve(b.source), b.weight, b.stride, b.padding, b.groups, b.kind)
                    for b in op.branches
                )
                op = Layer(branches, op.bias, op.shape, op.clamp, op.pool)
            inputs = tuple(resolve(name) for name in node.inputs)
            nodes.append(Node(node.name, op, inputs, node.shape))
        return self.with_nodes(nodes, resolve(self.output))


def check_graph(graph: Graph) -> Graph:
    """Our own invariants, asserted between passes; returns the graph."""
    known = {INPUT: graph.input_shape}
    for node in graph.nodes:
        assert node.name not in known, f"{node.name}: defined twice"
        assert all(name in known for name in node.inputs), f"{node.name}: operand comes later"
        assert all(size >= 1 for size in node.shape), f"{node.name}: shape {node.shape}"
        if isinstance(node.op, Layer):
            assert tuple(branch.source for branch in node.op.branches) == node.inputs, node.name
            for branch in node.op.branches:
                out_shape = conv_shape(known[branch.source], branch)
                assert out_shape == node.op.shape, f"{node.name}: {out_shape} != {node.op.shape}"
        known[node.name] = node.shape
    assert graph.output in known, f"{graph.output}: output is not a node"
    return graph


def conv_shape(source: Shape, conv: Conv | Branch) -> Shape:
    """Output shape of a convolution over a source of shape (C, H, W)."""
    channels, _, ky, kx = conv.weight.shape
    return (channels, *window_shape(source[1:], (ky, kx), conv.stride, conv.padding))


def pool_shape(source: Shape, pool: MaxPool | AveragePool) -> Shape:
    """Output shape of a pooling over a source of shape (C, H, W)."""
    return (source[0], *window_shape(source[1:], pool.kernel, pool.stride, pool.padding))
