# SPDX-License-Identifier: Apache-2.0
"""The compatibility check: every reason why a graph cannot be compiled, each with a remedy."""

from collections.abc import Iterator

from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import bits_for

from ..errors import CompatibilityError, Problem, preset_with
from .graph import Graph, Node
from .ops.layout import Flatten
from .ops.operator import Operand, Place, Shape, Unsupported

# Modules of many operators, of which none says what is wrong with the whole.
_ATTENTION = (
    "multiplies computed tensors (attention); a synapse multiplies by a constant weight",
    "use convolutions and dense layers in its place",
)
COMPOSED = {
    "MultiheadAttention": _ATTENTION,
    "TransformerEncoderLayer": _ATTENTION,
    "TransformerDecoderLayer": _ATTENTION,
}


def check_compatible(graph: Graph, params: ChipParams | None = None) -> None:
    """Raises ``CompatibilityError`` with every problem of a captured graph; else returns.

    Parameters
    ----------
    params : ChipParams, optional
        Coordinates are checked against this chip's packets.
    """
    problems = find_problems(graph, params)
    if problems:
        raise CompatibilityError(graph.name, problems)


def find_problems(graph: Graph, params: ChipParams | None = None) -> tuple[Problem, ...]:
    """Every problem, in the order of the layers."""
    problems: list[Problem] = []
    if params is not None:
        problems.extend(_size_problems("input", graph.input_shape, params))
    for node in graph.nodes:
        if isinstance(node.op, Unsupported) and node.op.is_consequence:
            continue
        problems.extend(_node_problems(node, graph))
        if params is not None and node.op.is_population:
            problems.extend(_size_problems(node.name, node.shape, params))
    return tuple(problems)


def _size_problems(name: str, shape: Shape, params: ChipParams) -> Iterator[Problem]:
    widths = {"channels": "c_width", "rows": "y_width", "columns": "x_width"}
    for size, (what, width) in zip(shape, widths.items(), strict=True):
        most = 1 << int(getattr(params, width))
        if size > most:
            yield Problem(
                name,
                f"a packet tells {most} {what} apart, the layer has {size}",
                preset_with(params, f"more bits for {what}", width, least=bits_for(size)),
            )


def _node_problems(node: Node, graph: Graph) -> Iterator[Problem]:
    operands = [Operand(graph.shape_of(name), _is_flattened(name, graph)) for name in node.inputs]
    place = node.op.place if isinstance(node.op, Unsupported) else Place()
    for path, kind in place.modules:
        name = kind.rsplit(".", 1)[-1]
        if name in COMPOSED:
            problem, remedy = COMPOSED[name]
            yield Problem(path or node.name, f"{name} {problem}", remedy, place.source)
            return
    for problem, remedy in node.op.find_problems(operands):
        yield Problem(node.name, problem, remedy, place.source)


def _is_flattened(name: str, graph: Graph) -> bool:
    """Whether a value is an image that lost its rows and columns."""
    nodes = {node.name: node for node in graph.nodes}
    while name in nodes:
        op = nodes[name].op
        if isinstance(op, Flatten):
            return True
        if not op.keeps_flattening:
            return False
        name = nodes[name].inputs[0]
    return False
