# SPDX-License-Identifier: Apache-2.0
"""Windows and interpolations that are too large for a core at once become two layers or more."""

import math
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np

from stemcore.golden.spec.windows import Spans, window_spans

from ..graph import Graph, Node
from ..ops.fake_quantize import FakeQuantize
from ..ops.operator import FloatArray, Operator, Shape
from ..ops.pooling import AveragePool, MaxPool, UnevenMaxPool, max_pooling
from ..ops.resample import Resample, average_matrix, matrix_taps
from ..ops.windows import span_windows

# A core holds all positions of a window, and a weight word for each kernel position and lane.
MOST_MAXIMA = 128  # positions of a window
MOST_WEIGHTS = 64  # kernel positions of a layer that treats channels alike
MOST_TERMS = 256  # positions of an average whose weight still has 7 bits of 24
CHUNK = 8  # rows or columns of a first stage


def stage_windows(graph: Graph) -> Graph:
    """No window of a max pooling has more than ``MOST_MAXIMA`` positions, unless windows overlap;
    no average or interpolation needs more than ``MOST_WEIGHTS`` weights.

    Averages over more have one weight for all positions. Those over more than ``MOST_TERMS``, and
    interpolations whose weights differ in too many places, have two stages. An average of a
    quantized model has one: it rounds once.
    """
    is_quantized = any(isinstance(node.op, FakeQuantize) for node in graph.nodes)
    most_terms = sys.maxsize if is_quantized else MOST_TERMS
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _stages(node, graph.shape_of(node.inputs[0]), 1, most_terms)
    return graph.with_nodes(nodes)


def _stages(node: Node, source: Shape, number: int, most_terms: int) -> list[Node]:
    """The nodes in place of one, which has ``number - 1`` before it; the last has its name."""
    op = node.op
    parts: tuple[Operator | None, Operator] | None = None
    if isinstance(op, MaxPool | UnevenMaxPool):
        parts = _split_maximum(op, source)
    elif isinstance(op, AveragePool) and math.prod(op.kernel) > MOST_WEIGHTS:
        parts = _split_average(op, source, most_terms)
    elif isinstance(op, Resample):
        parts = _split_weights(op)
    if parts is None:
        return [node]
    first, second = parts
    if first is None:
        return [replace(node, op=second)]
    name = f"{node.name}.stage{number}"
    shape = first.output_shape([source])
    before = Node(name, first, node.inputs, shape)
    last = replace(node, op=second, inputs=(name,))
    return [before, *_stages(last, shape, number + 1, most_terms)]


def _split_maximum(op: MaxPool | UnevenMaxPool, source: Shape) -> tuple[Operator, Operator] | None:
    rows, columns = (_spans(op, axis, source) for axis in (0, 1))
    longest = [max(stop - start for start, stop in spans) for spans in (rows, columns)]
    if math.prod(longest) <= MOST_MAXIMA or _overlap(rows) or _overlap(columns):
        return None
    cut = [_chunks(spans) for spans in (rows, columns)]
    first = max_pooling(*(span_windows(source[1 + i], chunks) for i, (chunks, _) in enumerate(cut)))
    return first, max_pooling(*(span_windows(len(chunks), groups) for chunks, groups in cut))


def _spans(op: MaxPool | UnevenMaxPool, axis: int, source: Shape) -> Spans:
    if isinstance(op, UnevenMaxPool):
        return (op.rows, op.columns)[axis]
    return window_spans(source[1 + axis], op.kernel[axis], op.stride[axis], op.padding[axis])


def _overlap(spans: Spans) -> bool:
    return any(a[1] > b[0] for a, b in pairwise(spans))


def _chunks(spans: Spans) -> tuple[Spans, Spans]:
    """Every span cut into chunks of at most ``CHUNK``, and the chunks of each span."""
    chunks: list[tuple[int, int]] = []
    groups = []
    for start, stop in spans:
        first = len(chunks)
        chunks += [(at, min(at + CHUNK, stop)) for at in range(start, stop, CHUNK)]
        groups.append((first, len(chunks)))
    return tuple(chunks), tuple(groups)


def _split_average(
    op: AveragePool, source: Shape, most_terms: int
) -> tuple[Operator | None, Operator]:
    rows, columns = (
        window_spans(source[1 + i], op.kernel[i], op.stride[i], op.padding[i]) for i in (0, 1)
    )
    n_terms, is_power = math.prod(op.kernel), op.divisor & (op.divisor - 1) == 0
    if n_terms <= most_terms or is_power or _overlap(rows) or _overlap(columns):
        return None, Resample(
            _sums(source[1], rows, 1.0), _sums(source[2], columns, 1.0 / op.divisor)
        )
    (row_chunks, row_groups), (column_chunks, column_groups) = _chunks(rows), _chunks(columns)
    first = Resample(
        _sums(source[1], row_chunks, 1.0 / CHUNK), _sums(source[2], column_chunks, 1.0 / CHUNK)
    )
    second = Resample(
        _sums(len(row_chunks), row_groups, float(CHUNK)),
        _sums(len(column_chunks), column_groups, CHUNK / op.divisor),
    )
    return first, second


def _sums(size: int, spans: Spans, weight: float) -> FloatArray:
    """Weights (outputs, size) of sums over spans, times ``weight``."""
    return average_matrix(span_windows(size, spans).alike(1)) * weight


def _split_weights(op: Resample) -> tuple[Operator, Operator] | None:
    """First the axis after which fewer values are left."""
    n_weights = math.prod(len(matrix_taps(matrix)[1]) for matrix in (op.rows, op.columns))
    if n_weights <= MOST_WEIGHTS:
        return None
    by_rows = Resample(op.rows, np.eye(op.columns.shape[1]))
    by_columns = Resample(np.eye(op.rows.shape[1]), op.columns)
    grows = [len(matrix) / matrix.shape[1] for matrix in (op.rows, op.columns)]
    if grows[0] <= grows[1]:
        return by_rows, replace(by_columns, rows=np.eye(len(op.rows)))
    return by_columns, replace(by_rows, columns=np.eye(len(op.columns)))
