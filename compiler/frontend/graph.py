# SPDX-License-Identifier: Apache-2.0
"""The float graph: frozen nodes with integer shapes (C, H, W), no batch dimension.

Capture writes every operator of :mod:`ops` but ``Layer``; the passes rewrite until only ``Layer``
is left. Flat tensors have the shape (C, 1, 1).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from stemcore.golden.network.network import INPUT, OUTPUT
from stemcore.golden.network.results import ONE_OUTPUT, Output, Results, check_results
from stemcore.golden.network.tail import TailStep

from ..input_parts import InputPart
from .ops.layer import Layer
from .ops.operator import Operator, Shape


@dataclass(frozen=True, eq=False)
class Node:
    """One operator: its name (the path of its module), operands and output shape."""

    name: str
    op: Operator
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which every operand comes before its use; ``INPUT`` names the input.

    ``tail``: what the host computes of the output. Where the model returns several tensors,
    ``results`` has them, with their tails, and ``output`` is the source of the first. ``notes``:
    what was changed while the model was read, a sentence each; whoever runs it says so. ``parts``:
    inputs of a model that has several; ``INPUT`` then is all of them.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    output: str
    tail: tuple[TailStep, ...] = ()
    notes: tuple[str, ...] = ()
    results: Results = ONE_OUTPUT
    parts: tuple[InputPart, ...] = ()

    @property
    def ends(self) -> tuple[str, ...]:
        """Values that the model returns, each once."""
        return self.results.sources or (self.output,)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the model returns, in order; the only one has the name ``output``."""
        return self.results.outputs or (Output(OUTPUT, self.output, self.tail),)

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
        """How often a value is used; being an output of the graph counts as one."""
        return sum(node.inputs.count(name) for node in self.nodes) + (name in self.ends)

    def with_nodes(
        self, nodes: Iterable[Node], rename: Callable[[str], str] = lambda name: name
    ) -> "Graph":
        """The same network with other nodes, without those that no output needs.

        ``rename`` maps the old name of an output to the new one.
        """
        kept = tuple(nodes)
        output, results = rename(self.output), self.results.with_sources(rename)
        needed = set(results.sources or (output,))
        for node in reversed(kept):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(n for n in kept if n.name in needed)
        return replace(self, nodes=nodes, output=output, results=results)

    def with_replaced(self, replacements: dict[str, Node], renamed: dict[str, str]) -> "Graph":
        """Nodes exchanged by name, and operands ``renamed`` from old value to new value."""

        def resolve(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        nodes = []
        for old in self.nodes:
            node = replacements.get(old.name, old)
            if not any(name in renamed for name in node.inputs):
                nodes.append(node)
                continue
            op = node.op
            if isinstance(op, Layer):
                branches = tuple(replace(b, source=resolve(b.source)) for b in op.branches)
                op = replace(op, branches=branches)
            inputs = tuple(resolve(name) for name in node.inputs)
            nodes.append(Node(node.name, op, inputs, node.shape))
        return self.with_nodes(nodes, resolve)


def check_graph(graph: Graph) -> Graph:
    """Our own invariants, asserted on what is captured; returns the graph."""
    known = {INPUT}
    for node in graph.nodes:
        assert node.name not in known, f"{node.name}: defined twice"
        assert all(name in known for name in node.inputs), f"{node.name}: operand comes later"
        assert all(size >= 1 for size in node.shape), f"{node.name}: shape {node.shape}"
        known.add(node.name)
    assert graph.output in known, f"{graph.output}: output is not a node"
    assert not graph.results or graph.output == graph.ends[0], "the first output has another name"
    check_results(graph.results, dict.fromkeys(known))
    return graph


def check_shapes(graph: Graph) -> Graph:
    """:func:`check_graph`, and that every shape is that of its operator; between passes.

    The graph has passed the compatibility check.
    """
    known = {INPUT: graph.input_shape}
    for node in check_graph(graph).nodes:
        shape = node.op.output_shape([known[name] for name in node.inputs])
        assert shape == node.shape, f"{node.name}: {shape} != {node.shape}"
        if isinstance(node.op, Layer):
            assert tuple(branch.source for branch in node.op.branches) == node.inputs, node.name
            for branch in node.op.branches:
                shape = branch.output_shape(known[branch.source])
                assert shape == node.op.shape, f"{node.name}: {shape} != {node.op.shape}"
        known[node.name] = node.shape
    return graph
