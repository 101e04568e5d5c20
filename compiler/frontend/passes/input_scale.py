# SPDX-License-Identifier: Apache-2.0
"""The worth of the input's codes becomes part of the weights that read the input."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT

from ..graph import Graph, Node
from ..ops.layer import LEARNED, Branch, Layer
from ..ops.operator import FloatArray


def scale_input(graph: Graph, factors: Sequence[float]) -> Graph:
    """A graph of layers that computes from ``x / factors[c]`` what ``graph`` computes from ``x``.

    Exact, also under zero padding: nothing is added to the input. ``factors`` are positive, one or
    one a channel. Connections that passed the input on, or averaged it, have weights like any other
    afterwards.
    """
    factor = np.broadcast_to(np.asarray(factors, np.float64), graph.input_shape[0])

    def scaled(branch: Branch) -> Branch:
        if branch.source != INPUT:
            return branch
        n_out, n_in = branch.weight.shape[:2]
        group = np.arange(n_out)[:, None] // (n_out // branch.groups)
        first = 0 if branch.channels is None else branch.channels[0]
        channel = first + group * n_in + np.arange(n_in)
        return replace(
            branch,
            weight=branch.weight * factor[channel][:, :, None, None],
            kind=LEARNED,
            step=_scaled_step(branch, factor[channel]),
        )

    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, Layer):
            branches = tuple(scaled(branch) for branch in node.op.branches)
            node = replace(node, op=replace(node.op, branches=branches))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _scaled_step(branch: Branch, factors: FloatArray) -> FloatArray | None:
    """Worth of one integer of the weights (O,) whose inputs have ``factors`` (O, I); None where the
    inputs of a channel differ in theirs."""
    if branch.step is None or (factors != factors[:, :1]).any():
        return None
    return branch.step * factors[:, 0]
