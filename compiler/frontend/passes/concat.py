# SPDX-License-Identifier: Apache-2.0
"""Removes concatenations: what reads the joined channels reads each of the joined tensors."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from ..graph import Graph, Node
from ..ops.addition import Add
from ..ops.convolution import Conv
from ..ops.dense import Linear
from ..ops.layout import Concat, Flatten
from ..ops.operator import FloatArray, Operator, Shape
from ..ops.transposed_convolution import TransposedConv


def split_concat(graph: Graph) -> Graph:
    """No concatenation is left.

    A convolution or dense layer becomes a sum of one over each tensor. Operators that keep channels
    apart work on each tensor by itself, and their results are concatenated instead. What needs the
    channels in one place (an addition, the output, groups that reach over two tensors) gets a layer
    that copies them.
    """
    return _Splitting(graph).result()


class _Splitting:
    """The nodes so far; ``tensors`` names the joined tensors of every concatenated value."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes: dict[str, Node] = {}
        self.tensors: dict[str, list[str]] = {}

    def result(self) -> Graph:
        for node in self.graph.nodes:
            self._take(node)
        self._copy(self.graph.ends)
        return self.graph.with_nodes(self.nodes.values())

    def _take(self, node: Node) -> None:
        op = node.op
        joined = node.inputs[0] if node.inputs[0] in self.tensors else None
        if isinstance(op, Concat):
            self.tensors[node.name] = [p for i in node.inputs for p in self.tensors.get(i, [i])]
        elif joined and (
            isinstance(op, Linear) or (isinstance(op, Conv | TransposedConv) and op.groups == 1)
        ):
            self._sum(
                node.name,
                node.shape,
                "part",
                [
                    (
                        source,
                        _channel_by_channel(
                            replace(
                                op, weight=op.weight[:, first:stop], bias=op.bias * (first == 0)
                            )
                        ),
                    )
                    for source, first, stop in self._spans(joined)
                ],
            )
        elif joined and self._is_flat_output(node):
            self._copy(node.inputs)
            self.nodes[node.name] = node
        elif joined and (ops := self._by_tensor(op, joined)):
            self.tensors[node.name] = [
                self._add(f"{node.name}.part{i}", part, part.output_shape([shape]), [source])
                for i, (source, shape, part) in enumerate(ops, 1)
            ]
        else:
            self._copy(node.inputs)
            self.nodes[node.name] = node

    def _is_flat_output(self, node: Node) -> bool:
        """Whether a flattening is an output: joined before it, its values need no dense layer."""
        return isinstance(node.op, Flatten) and node.name in self.graph.ends

    def _add(self, name: str, op: Operator, shape: Shape, inputs: Sequence[str]) -> str:
        self.nodes[name] = Node(name, op, tuple(inputs), shape)
        return name

    def _shape_of(self, name: str) -> Shape:
        return self.nodes[name].shape if name in self.nodes else self.graph.shape_of(name)

    def _spans(self, joined: str) -> list[tuple[str, int, int]]:
        """Every joined tensor with its first channel and the one after its last."""
        names = self.tensors[joined]
        ends = [0, *accumulate(self._shape_of(name)[0] for name in names)]
        return [(name, *span) for name, span in zip(names, pairwise(ends), strict=True)]

    def _by_tensor(self, op: Operator, joined: str) -> list[tuple[str, Shape, Operator]]:
        """Joined tensors, their shapes, the operator on each; empty where it mixes channels."""
        parts: list[tuple[str, Shape, Operator]] = []
        for source, first, stop in self._spans(joined):
            part = op.on_channels(first, stop)
            if part is None:
                return []
            parts.append((source, self._shape_of(source), part))
        return parts

    def _sum(
        self, name: str, shape: Shape, kind: str, terms: Sequence[tuple[str, Operator]]
    ) -> None:
        """``name`` becomes the sum of operators, each on a tensor; ``kind`` is in their names."""
        total = ""
        for i, (source, op) in enumerate(terms, 1):
            term = self._add(f"{name}.{kind}{i}", op, shape, [source])
            if i == 1:
                total = term
            else:
                this = name if i == len(terms) else f"{name}.sum{i}"
                total = self._add(this, Add(), shape, [total, term])

    def _copy(self, names: Sequence[str]) -> None:
        """Each of the names that is a concatenation gets a layer that copies all its channels."""
        for name in names:
            if name in self.tensors and name not in self.nodes:
                shape = self.graph.shape_of(name)
                rows = np.eye(shape[0])[:, :, None, None]
                self._sum(
                    name,
                    shape,
                    "copy",
                    [
                        (source, self._copying(source, rows[:, first:stop]))
                        for source, first, stop in self._spans(name)
                    ],
                )

    def _copying(self, source: str, rows: FloatArray) -> Operator:
        """The operator that copies channels of ``source`` to where ``rows`` (O, I, 1, 1) has ones:
        a dense layer for a flattened image, which reads its rows and columns."""
        bias = np.zeros(len(rows))
        if self._is_flattened(source):
            return Linear(rows[:, :, 0, 0], bias)
        return Conv(rows, bias)

    def _is_flattened(self, name: str) -> bool:
        while name in self.nodes:
            node = self.nodes[name]
            if isinstance(node.op, Flatten):
                return True
            if not node.op.keeps_flattening:
                return False
            name = node.inputs[0]
        return False


def _channel_by_channel(op: Operator) -> Operator:
    """A 1 x 1 convolution of every channel onto its own is depthwise: fewer operations."""
    if not isinstance(op, Conv) or op.weight.shape[2:] != (1, 1):
        return op
    weight = op.weight[:, :, 0, 0]
    if weight.shape[0] != weight.shape[1] or np.count_nonzero(weight - np.diag(np.diag(weight))):
        return op
    return replace(op, weight=np.diag(weight).reshape(-1, 1, 1, 1), groups=len(weight))
