# SPDX-License-Identifier: Apache-2.0
"""Means, sums and maxima over axes, whatever the axes stand for: positions, or channels.

Capture follows views, permutations and slices with arrays of positions; which values meet in a
result is read off these, and :func:`reduction` says what operator that is.
"""

from typing import Any

import numpy as np

from stemcore.golden.spec.windows import Spans

from ..fx import Call, captures, refuse
from .convolution import Conv
from .operator import IntArray, Operator, Placed, Shape
from .pooling import average_pooling, max_pooling
from .windows import Windows, span_windows

MEAN, SUM, MAXIMUM = "mean", "sum", "maximum"
REDUCTIONS = {
    "aten.mean.dim": MEAN,
    "aten.sum.dim_IntList": SUM,
    "aten.amax.default": MAXIMUM,
    "aten.max.dim": MAXIMUM,
}


def reduction(groups: IntArray, source: Shape, kind: str) -> Placed | None:
    """The operator whose results are reductions of ``groups``; None if there is none.

    groups : int64 (results, values)
        Positions in the flattened source (C, H, W) that meet in each result.
    kind : MEAN, SUM or MAXIMUM
    """
    places = np.unravel_index(groups, source)
    is_same = [(place == place[:, :1]).all() for place in places]
    if is_same[0]:
        return _over_positions(places, source, kind)
    if is_same[1] and is_same[2] and kind != MAXIMUM:
        return _over_channels(places, source, kind)
    return None


def _over_positions(places: tuple[IntArray, ...], source: Shape, kind: str) -> Placed | None:
    """Every result is over a rectangle of positions of one channel."""
    channels, rows, columns = places
    spans = [_spans(rows), _spans(columns)]
    area = np.prod([stops - starts for starts, stops in spans], axis=0)
    distinct = np.sort(rows * source[2] + columns, axis=1)
    repeats = (np.diff(distinct, axis=1) == 0).any()
    if repeats or (area != rows.shape[1]).any():
        return None
    numbers: list[IntArray] = []
    windows: list[Windows] = []
    for starts, stops in spans:
        pairs, number = np.unique(np.stack([starts, stops], 1), axis=0, return_inverse=True)
        spans_of_axis: Spans = tuple((int(a), int(b)) for a, b in pairs.tolist())
        if any(np.diff([b for _, b in spans_of_axis]) < 0):
            return None
        numbers.append(number.reshape(-1))
        windows.append(span_windows(source[1 + len(windows)], spans_of_axis))
    by_row, by_column = windows
    if kind == MAXIMUM:
        op = max_pooling(by_row, by_column)
    else:
        op = average_pooling(by_row, by_column, None if kind == MEAN else 1)
    shape = source[0], len(by_row.spans), len(by_column.spans)
    return Placed(op, shape, np.ravel_multi_index((channels[:, 0], *numbers), shape))


def _spans(places: IntArray) -> tuple[IntArray, IntArray]:
    """First place of every group, and the one after its last."""
    return places.min(axis=1), places.max(axis=1) + 1


def _over_channels(places: tuple[IntArray, ...], source: Shape, kind: str) -> Placed:
    """Every result is over channels at one position: a 1 x 1 convolution."""
    channels, rows, columns = places
    n_terms = channels.shape[1]
    sets, number = np.unique(np.sort(channels, axis=1), axis=0, return_inverse=True)
    weight = np.zeros((len(sets), source[0], 1, 1))
    np.add.at(
        weight, (np.arange(len(sets))[:, None], sets), (1.0 / n_terms) if kind == MEAN else 1.0
    )
    shape = len(sets), source[1], source[2]
    at = (number.reshape(-1), rows[:, 0], columns[:, 0])
    return Placed(Conv(weight, np.zeros(len(sets))), shape, np.ravel_multi_index(at, shape))


@captures("mean.dim", "sum.dim_IntList", "amax.default", "max.dim")
def _refuse_reduction(call: Call) -> Operator:
    """Only calls that :func:`reduction` has no operator for come here."""
    kind = REDUCTIONS[call.target]
    sizes = tuple(call.fx_node.args[0].meta["val"].shape)
    if kind == MAXIMUM:
        what, remedy = "a rectangle of positions of each channel", "use a max pooling"
    else:
        what = "a rectangle of positions of each channel, or channels at each position"
        remedy = "use an average pooling, or a convolution with constant weights"
    return refuse(
        call,
        f"must be the {kind} over {what}, is over axes {call.get(1, 'dim')} of {sizes}",
        remedy,
    )


def axes_of(dims: Any, rank: int) -> list[int]:
    """torch's way of writing axes, from the front; all where there are none."""
    if dims is None or dims == []:
        return list(range(rank))
    given = [dims] if isinstance(dims, int) else list(dims)
    return sorted(axis % rank for axis in given)
