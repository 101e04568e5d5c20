# SPDX-License-Identifier: Apache-2.0
"""Zero padding of its own joins the convolutions behind it."""

from dataclasses import replace

import numpy as np

from ..graph import Conv, FloatArray, Graph, Node, Pair, ZeroPad


def absorb_padding(graph: Graph) -> Graph:
    """No zero padding is left: convolutions behind it pad; elsewhere it is a convolution itself.

    A convolution pads both sides alike. Where one side needs more, both get that much, and the
    kernel grows by zeros on the other.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node.op, ZeroPad):
            channels = node.shape[0]
            copy = Conv(np.ones((channels, 1, 1, 1)), np.zeros(channels), groups=channels)
            node = replace(node, op=_padded(copy, node.op))
        elif isinstance(node.op, Conv):
            before = next((n for n in graph.nodes if n.name == node.inputs[0]), None)
            if before is not None and isinstance(before.op, ZeroPad):
                # What it reads may pad as well, and is then a convolution: one level is enough.
                node = replace(node, op=_padded(node.op, before.op), inputs=before.inputs)
        nodes[node.name] = node
    return graph.with_nodes(nodes.values())


def _padded(conv: Conv, pad: ZeroPad) -> Conv:
    rows, py = _one_axis(conv.padding[0], pad.before[0], pad.after[0])
    columns, px = _one_axis(conv.padding[1], pad.before[1], pad.after[1])
    weight: FloatArray = np.pad(conv.weight, ((0, 0), (0, 0), rows, columns))
    return replace(conv, weight=weight, padding=(py, px))


def _one_axis(padding: int, before: int, after: int) -> tuple[Pair, int]:
    """Zeros around the kernel, and the padding of both sides."""
    most = padding + max(before, after)
    # A leading zero takes the window one place further to the front than the padding lets it.
    return (most - padding - before, most - padding - after), most
