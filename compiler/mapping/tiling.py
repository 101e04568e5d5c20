# SPDX-License-Identifier: Apache-2.0
"""The cheapest way to cut one layer into tiles that each take at most a given time.

A layer is cut into strips of rows, every strip into columns, every rectangle of positions into
channel spans of (nearly) equal numbers of blocks.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Layer, Network
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.timing import fire_cycles, update_cycles

from .connectivity import (
    Span,
    Tile,
    block_count,
    digit_count,
    fired_blocks,
    length,
    make_tile,
)
from .fan_in import read_entries
from .weight_blocks import count_weight_words
from .work import Array, Axis, Edges, block_spikes, layer_work, rectangle_sums

MAX_CUTS = 32  # places considered for a cut, in rows and in columns
Needs = dict[str, tuple[int, int]]  # what is needed, and what there is


def split_evenly(size: int, n_parts: int) -> tuple[Span, ...]:
    """``n_parts`` spans that cover ``size``, the longer ones first."""
    short, extra = divmod(size, n_parts)
    stops = np.cumsum([short + (i < extra) for i in range(n_parts)])
    return tuple((int(stop) - short - (i < extra), int(stop)) for i, stop in enumerate(stops))


class LayerCost:
    """Predicted cost of every tile of one layer, and what fits a core.

    Attributes
    ----------
    work, fired : arrays (blocks, H, W)
        Expected operations of each word before pooling, and spikes of each word after (of all
        digits).
    """

    def __init__(
        self, network: Network, index: int, params: ChipParams, spikes: Mapping[str, Array]
    ) -> None:
        self.network, self.index, self.params = network, index, params
        self.layer = layer = network.layers[index]
        self.spikes = spikes
        source = network.population(layer.connections[0].source)
        self.n_updates = params.model.tokens_per_sample(source.bits)  # per image
        self.n_blocks = block_count(layer.shape[0], params.lanes)
        self.work = layer_work(network, layer, params.lanes, spikes)
        self.n_digits = digit_count(layer)
        fired = block_spikes(spikes[layer.name], params.lanes)
        own = fired_blocks(layer, (0, self.n_blocks), params.lanes)
        self.fired = fired[own].sum(axis=0)
        self._found: dict[float, tuple[float, list[tuple[int, int]]]] = {}
        self._prepare(MAX_CUTS)
        if not np.isfinite(self._cheapest(np.inf)[0]):
            self._prepare(max(layer.out_shape[1:]))

    def _prepare(self, max_cuts: int) -> None:
        """Costs of all rectangles: arrays (row spans, column spans)."""
        self._found.clear()
        p = self.params
        self.axes = y, x = [Axis(self.network, self.layer, axis, max_cuts) for axis in (0, 1)]
        before = (y.starts, y.stops), (x.starts, x.stops)
        after = tuple(tuple(axis.cuts[axis.pairs].T) for axis in (y, x))
        busiest = _largest(self.work, *before)
        fired = _largest(self.fired, *after)
        positions = np.multiply.outer(y.positions, x.positions)
        outputs = np.multiply.outer(y.outputs, x.outputs)
        reads = np.multiply.outer(y.reads, x.reads)
        entries = reads + positions - np.multiply.outer(y.covered, x.covered)
        entries, outputs = entries * self.n_digits, outputs * self.n_digits
        # Cycles per channel block, beside those that an update pass always takes.
        self._fixed = self.n_updates * update_cycles(p, 0)
        fire = np.maximum(fire_cycles(self.layer.bits, outputs, 0), fired)
        self._rate = np.maximum(busiest, fire) + entries * self.n_updates * p.n_groups
        self._most_blocks = np.minimum.reduce(
            [p.n_acc_words // positions, p.n_update // entries, p.n_fire_words // outputs]
        )
        self._most_blocks[y.tables > p.n_table_y, :] = 0
        self._most_blocks[:, x.tables > p.n_table_x] = 0
        self._received = np.zeros(positions.shape)
        for i, connection in enumerate(self.layer.connections):
            span = connection.span(self.network.population(connection.source))
            source = self.spikes[connection.source][slice(*span)].sum(axis=0)
            self._received += rectangle_sums(source, y.received[i], x.received[i])

    def _counts(self, target: float) -> Array:
        """Tiles that each rectangle takes so that none exceeds ``target`` cycles."""
        fewest = self.fewest_spans()
        if fewest is None:
            return np.full(self._rate.shape, np.inf)
        most = self._most_blocks
        if np.isfinite(target):
            most = np.minimum(most, np.floor((target - self._fixed) / self._rate))
        counts = np.full(self._rate.shape, np.inf)
        fits = most >= 1
        counts[fits] = np.maximum(np.ceil(self.n_blocks / most[fits]), fewest)
        return counts

    def _cheapest(self, target: float) -> tuple[float, list[tuple[int, int]]]:
        """Number of tiles, and (row span, column span) of the rectangles.

        The least tiles; among those, the least spikes that arrive at more than one rectangle.
        """
        if target not in self._found:
            self._found[target] = self._search(target)
        return self._found[target]

    def _search(self, target: float) -> tuple[float, list[tuple[int, int]]]:
        y, x = self.axes
        counts = self._counts(target)
        # Small enough never to outweigh a tile, whatever the number of rectangles.
        weight = 0.5 / max(1.0, self._received.max() * len(y.cuts) * len(x.cuts))
        costs = counts + weight * self._received
        strip, column_choice = _shortest(costs, x)
        total, row_choice = _shortest(strip[None, :], y)
        if not np.isfinite(total[0]):
            return np.inf, []
        rectangles = []
        for row in _follow(row_choice[0], y):
            rectangles += [(row, column) for column in _follow(column_choice[row], x)]
        return float(sum(counts[r] for r in rectangles)), rectangles

    def n_tiles(self, target: float) -> float:
        """The fewest tiles that each take at most ``target`` cycles; infinite if none do."""
        return self._cheapest(target)[0]

    def tiles(self, target: float) -> tuple[Tile, ...]:
        """These tiles: position by position, the channel spans of a position side by side."""
        counts = self._counts(target)
        y, x = self.axes
        return tuple(
            make_tile(self.layer, self.index, blocks, y.span(row), x.span(column))
            for row, column in self._cheapest(target)[1]
            for blocks in split_evenly(self.n_blocks, int(counts[row, column]))
        )

    def cycles(self, tile: Tile) -> float:
        """Predicted cycles per image of a tile."""
        blocks = slice(*tile.blocks)
        work = self.work[blocks, slice(*tile.pre_rows), slice(*tile.pre_columns)].sum()
        fired = self.fired[blocks, slice(*tile.rows), slice(*tile.columns)].sum()
        fire = fire_cycles(self.layer.bits, tile.n_fire_words, fired)
        update_pass = update_cycles(self.params, self.n_entries(tile))
        return max(float(work), fire) + self.n_updates * update_pass

    def n_entries(self, tile: Tile) -> int:
        """Update pass entries of a tile."""
        (y, row), (x, column) = (
            (axis, _index(axis, span))
            for axis, span in zip(self.axes, (tile.rows, tile.columns), strict=True)
        )
        gaps = y.positions[row] * x.positions[column] - y.covered[row] * x.covered[column]
        return int(y.reads[row] * x.reads[column] + gaps) * tile.n_blocks * tile.n_digits

    def block_needs(self, blocks: Span) -> Needs:
        """Needs that depend on a tile's channel blocks alone."""
        return block_needs(self.network, self.layer, self.params, blocks)

    def fewest_spans(self) -> int | None:
        """The fewest channel spans that fit; more spans need less each. None if single blocks
        do not fit."""
        if not hasattr(self, "_fewest_spans"):
            self._fewest_spans = self._search_spans()
        return self._fewest_spans

    def _search_spans(self) -> int | None:
        def fits(n_spans: int) -> bool:
            spans = split_evenly(self.n_blocks, n_spans)
            return all(n <= has for s in spans for n, has in self.block_needs(s).values())

        low, high = 1, self.n_blocks
        if not fits(high):
            return None
        while low < high:
            middle = (low + high) // 2
            if fits(middle):
                high = middle
            else:
                low = middle + 1
        return low

    def position_needs(self) -> Needs:
        """What the most demanding single position needs, with one channel block."""
        p, (y, x) = self.params, self.axes
        rows, columns = y.outputs == 1, x.outputs == 1
        positions = int(y.positions[rows].max() * x.positions[columns].max())
        return {
            "accumulator words": (positions, p.n_acc_words),
            "activation words": (self.n_digits, p.n_fire_words),
            "update pass entries": (positions * self.n_digits, p.n_update),
            "row table entries": (int(y.tables[rows].max()), p.n_table_y),
            "column table entries": (int(x.tables[columns].max()), p.n_table_x),
        }


def block_needs(network: Network, layer: Layer, params: ChipParams, blocks: Span) -> Needs:
    """What a tile of a layer with these channel blocks needs, whatever its positions."""
    p = params
    channels = read_entries(network, layer.connections, blocks, p.lanes)
    words = sum(count_weight_words(c, blocks, p.lanes) for c in layer.connections)
    return {
        "axon descriptors": (len(layer.connections), p.n_axons),
        "weight words": (words, p.n_weight_words),
        "channel table entries": (channels, p.n_table_c),
        "requantization blocks": (length(blocks) * digit_count(layer), p.n_blocks),
    }


def _largest(values: Array, rows: Edges, columns: Edges) -> Array:
    """The largest sum over a rectangle among all blocks of ``values`` (blocks, H, W)."""
    largest = rectangle_sums(values[0], rows, columns)
    for i in range(1, len(values)):
        if not np.array_equal(values[i], values[0]):
            np.maximum(largest, rectangle_sums(values[i], rows, columns), out=largest)
    return largest


def _shortest(costs: Array, axis: Axis) -> tuple[Array, NDArray[np.int64]]:
    """For each row of ``costs`` (rows, spans): the least sum of spans that cover the axis.

    Returns the sums, and for each row and cut the span that ends there.
    """
    n_cuts = len(axis.cuts)
    best = np.full((len(costs), n_cuts), np.inf)
    best[:, 0] = 0
    choice = np.zeros((len(costs), n_cuts), dtype=np.int64)
    for stop in range(1, n_cuts):
        # Spans that end at a cut lie side by side, ordered by their start.
        ending = np.arange(stop * (stop - 1) // 2, stop * (stop + 1) // 2)
        sums = best[:, :stop] + costs[:, ending]
        choice[:, stop] = ending[sums.argmin(axis=1)]
        best[:, stop] = sums.min(axis=1)
    return best[:, -1], choice


def _follow(choice: NDArray[np.int64], axis: Axis) -> list[int]:
    """Spans that end at each other's starts, first to last."""
    spans, stop = [], len(axis.cuts) - 1
    while stop:
        spans.append(int(choice[stop]))
        stop = int(axis.pairs[spans[-1], 0])
    return spans[::-1]


def _index(axis: Axis, span: Span) -> int:
    first, stop = np.searchsorted(axis.cuts, span)
    return int(stop * (stop - 1) // 2 + first)
