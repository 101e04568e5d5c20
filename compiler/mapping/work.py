# SPDX-License-Identifier: Apache-2.0
"""Sizes and expected work of all spans of rows and of columns of a layer's output."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Connection, Layer, Network

from .connectivity import Span, block_count, hit_channels, taps, window

Array = NDArray[np.float64]
Edges = tuple[NDArray[np.int64], NDArray[np.int64]]  # starts and stops of spans


class Axis:
    """Sizes of spans of output rows (axis 0) or columns (axis 1), one element for each span.

    Attributes
    ----------
    cuts : positions that a span may begin or end at
    pairs : int array (spans, 2)
        Indices into ``cuts`` of a span's ends.
    outputs, positions : lengths after and before pooling
    reads, covered : reads of all windows, and distinct positions that they read
    tables : coordinate table entries of all connections
    starts, stops : ends before pooling
    received : per connection, (starts, stops) in the source population
    """

    def __init__(self, network: Network, layer: Layer, axis: int, max_cuts: int) -> None:
        size = layer.out_shape[1 + axis]
        step = -(-size // max_cuts)
        self.cuts = np.array([*range(0, size, step), size])
        self.pairs = np.array(
            [(i, j) for j in range(len(self.cuts)) for i in range(j)], dtype=np.int64
        )
        first, stop = self.cuts[self.pairs].T
        windows = np.array([window(layer, axis, output) for output in range(size)])
        self.outputs = stop - first
        self.starts, self.stops = windows[first, 0], windows[stop - 1, 1]
        self.positions = self.stops - self.starts
        reads = np.concatenate([[0], np.cumsum(windows[:, 1] - windows[:, 0])])
        self.reads = reads[stop] - reads[first]
        # Positions read by a window and not by the one before it; a tile's first window is whole.
        before = np.concatenate([[0], windows[:-1, 1]])
        new = windows[:, 1] - np.maximum(windows[:, 0], before)
        newly = np.concatenate([[0], np.cumsum(new)])
        whole = windows[:, 1] - windows[:, 0]
        self.covered = newly[stop] - newly[first] + (whole - new)[first]
        self.received = [
            self._received(network, connection, axis, windows, first, stop)
            for connection in layer.connections
        ]
        lengths = [np.maximum(0, high - low) for low, high in self.received]
        self.tables = np.sum(np.stack(lengths), axis=0)

    def _received(
        self,
        network: Network,
        connection: Connection,
        axis: int,
        windows: NDArray[np.int64],
        first: NDArray[np.int64],
        stop: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        n_sources = network.population(connection.source).shape[1 + axis]
        lows, highs = np.full(len(windows), n_sources), np.zeros(len(windows), np.int64)
        for output, (start, end) in enumerate(windows):
            hit = np.nonzero(taps(connection, axis, n_sources, (int(start), int(end)))[1])[0]
            if len(hit):
                lows[output], highs[output] = hit[0], hit[-1] + 1
        # Where a window reads nothing, what its neighbours in the span read counts.
        lows = np.minimum.accumulate(lows[::-1])[::-1]
        highs = np.maximum.accumulate(highs)
        return lows[first], np.maximum(highs[stop - 1], lows[first])

    def span(self, index: int) -> Span:
        """Outputs of a span."""
        first, stop = self.cuts[self.pairs[index]]
        return int(first), int(stop)


def rectangle_sums(values: Array, rows: Edges, columns: Edges) -> Array:
    """Sums of ``values`` (H, W) over all rectangles: rows (starts, stops) times columns."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    strips = sums[rows[1]] - sums[rows[0]]
    rectangles: Array = strips[:, columns[1]] - strips[:, columns[0]]
    return rectangles


def layer_work(network: Network, layer: Layer, lanes: int, spikes: Mapping[str, Array]) -> Array:
    """Expected accumulate operations (blocks, H, W) of each word before pooling."""
    _, height, width = layer.shape
    work = np.zeros((block_count(layer.shape[0], lanes), height, width))
    for connection in layer.connections:
        source = spikes[connection.source]
        if connection.groups == 1:
            received = source[slice(*connection.span(network.population(connection.source)))]
            work += _operations(connection, received.sum(axis=0), height, width)
            continue
        for block in range(len(work)):
            start, stop = hit_channels(connection, (block, block + 1), lanes)
            hit = source[start:stop].sum(axis=0)
            work[block] += _operations(connection, hit, height, width)
    return work


def _operations(connection: Connection, spikes: Array, height: int, width: int) -> Array:
    if connection.rows is not None or connection.columns is not None:
        rows, columns = (connection.taps(i, spikes.shape[i]).reach() for i in (0, 1))
        operations: Array = rows @ spikes @ columns.T
        return operations
    (_, _, n_y, n_x), (sy, sx), (py, px) = (
        connection.weight.shape,
        connection.stride,
        connection.padding,
    )
    padded = np.zeros(
        (
            max(spikes.shape[0] + 2 * py, (height - 1) * sy + n_y),
            max(spikes.shape[1] + 2 * px, (width - 1) * sx + n_x),
        )
    )
    padded[py : py + spikes.shape[0], px : px + spikes.shape[1]] = spikes
    y, x = np.arange(height) * sy, np.arange(width) * sx
    return rectangle_sums(padded, (y, y + n_y), (x, x + n_x))


def block_spikes(fired: Array, lanes: int) -> Array:
    """Expected spikes (blocks, H, W) of each activation word."""
    n_blocks = block_count(len(fired), lanes)
    padded = np.pad(fired, ((0, n_blocks * lanes - len(fired)), (0, 0), (0, 0)))
    words: Array = padded.reshape(n_blocks, lanes, *fired.shape[1:]).sum(axis=1)
    return words
