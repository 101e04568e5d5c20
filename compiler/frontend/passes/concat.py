# SPDX-License-Identifier: Apache-2.0
"""Concatenated channels: what reads them reads each of the tensors that they come from."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from ..graph import (
    Add,
    AveragePool,
    Clamp,
    Concat,
    Conv,
    Flatten,
    Graph,
    Linear,
    MaxPool,
    Node,
    Op,
    Shape,
)

BY_CHANNEL = (Clamp, MaxPool, AveragePool, Flatten)


def split_concat(graph: Graph) -> Graph:
    """No concatenation is left.

    A convolution or dense layer becomes a sum of one over each tensor. Operators that keep channels
    apart work on each tensor by itself, and their results are concatenated instead. What needs the
    channels in one place (an addition, the output, groups that reach over two tensors) gets a layer
    that copies them.
    """
    return _Splitting(graph).result()


class _Splitting:
    """The nodes so far; ``parts`` are the tensors of what is concatenated."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes: dict[str, Node] = {}
        self.parts: dict[str, list[str]] = {}

    def result(self) -> Graph:
        for node in self.graph.nodes:
            self._take(node)
        self._copy([self.graph.output])
        return self.graph.with_nodes(self.nodes.values())

    def _take(self, node: Node) -> None:
        op = node.op
        joined = node.inputs[0] if node.inputs[0] in self.parts else None
        if isinstance(op, Concat):
            self.parts[node.name] = [p for i in node.inputs for p in self.parts.get(i, [i])]
        elif joined and (isinstance(op, Linear) or (isinstance(op, Conv) and op.groups == 1)):
            self._sum(
                node.name,
                node.shape,
                "part",
                [
                    (
                        source,
                        replace(op, weight=op.weight[:, first:stop], bias=op.bias * (first == 0)),
                    )
                    for source, first, stop in self._spans(joined)
                ],
            )
        elif joined and (isinstance(op, BY_CHANNEL) or self._has_own_groups(op, joined)):
            self.parts[node.name] = [
                self._add(f"{node.name}.part{i}", *self._on_channels(node, first, stop), [source])
                for i, (source, first, stop) in enumerate(self._spans(joined), 1)
            ]
        else:
            self._copy(node.inputs)
            self.nodes[node.name] = node

    def _add(self, name: str, op: Op, shape: Shape, inputs: Sequence[str]) -> str:
        self.nodes[name] = Node(name, op, tuple(inputs), shape)
        return name

    def _shape_of(self, name: str) -> Shape:
        return self.nodes[name].shape if name in self.nodes else self.graph.shape_of(name)

    def _spans(self, joined: str) -> list[tuple[str, int, int]]:
        """Every part with its first channel and the one after its last."""
        names = self.parts[joined]
        ends = [0, *accumulate(self._shape_of(name)[0] for name in names)]
        return [(name, *span) for name, span in zip(names, pairwise(ends), strict=True)]

    def _has_own_groups(self, op: Op, joined: str) -> bool:
        """Whether no group of a convolution has channels of two parts."""
        if not isinstance(op, Conv):
            return False
        return all(first % op.weight.shape[1] == 0 for _, first, _ in self._spans(joined))

    def _on_channels(self, node: Node, first: int, stop: int) -> tuple[Op, Shape]:
        """The operator for these channels of its operand alone, and the shape of its result."""
        op, (_, height, width) = node.op, node.shape
        if isinstance(op, Flatten):
            before = self.graph.shape_of(node.inputs[0])
            return op, ((stop - first) * math.prod(before[1:]), 1, 1)
        if not isinstance(op, Conv):
            return op, (stop - first, height, width)
        group_in, group_out = op.weight.shape[1], len(op.weight) // op.groups
        outputs = slice(first // group_in * group_out, stop // group_in * group_out)
        weight = op.weight[outputs]
        groups = (stop - first) // group_in
        part = replace(op, weight=weight, bias=op.bias[outputs], groups=groups)
        return part, (len(weight), height, width)

    def _sum(self, name: str, shape: Shape, kind: str, terms: Sequence[tuple[str, Op]]) -> None:
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
        """Those of the names that are concatenated get a layer that holds all their channels."""
        for name in names:
            if name in self.parts and name not in self.nodes:
                shape = self.graph.shape_of(name)
                rows = np.eye(shape[0])[:, :, None, None]
                self._sum(
                    name,
                    shape,
                    "copy",
                    [
                        (source, Conv(rows[:, first:stop], np.zeros(shape[0])))
                        for source, first, stop in self._spans(name)
                    ],
                )
