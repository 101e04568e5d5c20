# SPDX-License-Identifier: Apache-2.0
"""Says what cannot be compiled before anything else runs: all of it, with the way out."""

from collections.abc import Iterator, Mapping

import numpy as np

from stemcore.golden.spec.params import ChipParams

from ..errors import CompatibilityError, Problem
from .graph import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Graph,
    Layer,
    Linear,
    Node,
    Shape,
    Unsupported,
    ZeroPad,
)

_NO_LAYERS = (Flatten, Concat, ZeroPad, Unsupported)  # no population has their shape


def check_compatible(
    graph: Graph, params: ChipParams | None = None, *, bits: int | Mapping[str, int] = 8
) -> None:
    """Raises ``CompatibilityError`` with every problem of a captured graph; else returns.

    Parameters
    ----------
    params : ChipParams, optional
        Coordinates are checked against this chip's packets.
    bits : int or mapping
        As for ``quantize``.
    """
    problems = find_problems(graph, params, bits=bits)
    if problems:
        raise CompatibilityError(graph.name, problems)


def find_problems(
    graph: Graph, params: ChipParams | None = None, *, bits: int | Mapping[str, int] = 8
) -> tuple[Problem, ...]:
    """Every problem, in the order of the layers."""
    problems = list(_bits_problems(graph, bits))
    if params is not None:
        problems.extend(_size_problems("input", graph.input_shape, params))
    for node in graph.nodes:
        problems.extend(_node_problems(node, graph))
        if params is not None and not isinstance(node.op, _NO_LAYERS):
            problems.extend(_size_problems(node.name, node.shape, params))
    return tuple(problems)


def _bits_problems(graph: Graph, bits: int | Mapping[str, int]) -> Iterator[Problem]:
    by_name = bits if isinstance(bits, Mapping) else {"bits": bits}
    names = {node.name for node in graph.nodes}
    for name, value in by_name.items():
        if isinstance(bits, Mapping) and name not in names:
            yield Problem(
                name,
                "bits are given for a layer that the network does not have",
                f"the layers are {', '.join(sorted(names))}",
            )
        if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 8:
            yield Problem(
                name,
                f"a spike train has 2 to 8 time steps (bits), got {value!r}",
                "choose bits from 2 to 8",
            )


def _size_problems(name: str, shape: Shape, params: ChipParams) -> Iterator[Problem]:
    widths = (params.c_width, params.y_width, params.x_width)
    for size, width, what in zip(shape, widths, ("channels", "rows", "columns"), strict=True):
        if size > 1 << width:
            yield Problem(
                name,
                f"a packet tells {1 << width} {what} apart, the layer has {size}",
                f"make the layer smaller, or choose a preset with more bits for {what}",
            )


def _node_problems(node: Node, graph: Graph) -> Iterator[Problem]:
    op = node.op
    if isinstance(op, Unsupported):
        yield Problem(node.name, op.problem, op.remedy)
    elif isinstance(op, (Conv, Linear)):
        yield from _weight_problems(node.name, {"weights": op.weight, "bias": op.bias})
        if not op.weight.any():
            yield Problem(node.name, "all weights are zero", "load trained weights")
    elif isinstance(op, Layer):
        for i, branch in enumerate(op.branches):
            yield from _weight_problems(node.name, {f"weights of {i}": branch.weight})
        yield from _weight_problems(node.name, {"bias": op.bias})
    elif isinstance(op, BatchNorm):
        yield from _weight_problems(node.name, {"scale": op.scale, "offset": op.offset})
        if _is_flattened(node.inputs[0], graph):
            yield Problem(
                node.name,
                "batch norm over a flattened image has a factor per position",
                "put it before the flattening, or after the dense layer",
            )
    elif isinstance(op, Add):
        shapes = [graph.shape_of(name) for name in node.inputs]
        if any(shape != node.shape for shape in shapes):
            yield Problem(
                node.name,
                f"both operands of an addition must have one shape, got {shapes[0]} and "
                f"{shapes[-1]}",
                "bring them to one shape with a 1 x 1 convolution",
            )
        flattened = [_is_flattened(name, graph) for name in node.inputs]
        if any(flattened):
            yield Problem(
                node.name, "a flattened image cannot be added to", "add before the flattening"
            )


def _is_flattened(name: str, graph: Graph) -> bool:
    """Whether a value is an image that lost its rows and columns."""
    nodes = {node.name: node for node in graph.nodes}
    while name in nodes:
        op = nodes[name].op
        if isinstance(op, Flatten):
            return True
        if isinstance(op, (Conv, Linear, Add, Layer)):
            return False
        name = nodes[name].inputs[0]
    return False


def _weight_problems(name: str, arrays: Mapping[str, np.ndarray]) -> Iterator[Problem]:
    for what, array in arrays.items():
        n_bad = int(np.size(array) - np.isfinite(array).sum())
        if n_bad:
            yield Problem(
                name,
                f"{what} must be finite, {n_bad} of {np.size(array)} are NaN or infinite",
                "load weights of a training that converged",
            )
