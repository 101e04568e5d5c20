# SPDX-License-Identifier: Apache-2.0
"""The ways to cut one layer into tiles, and what each costs.

A tiling is a grid: spans of channel blocks times spans of rows times spans of columns. Channel
blocks are split evenly; rows and columns so that the busiest strip has the least predicted work.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.network import INPUT, Connection, Layer, Network
from golden.params import ChipParams

from .connectivity import (
    Span,
    Tile,
    before_pool,
    block_count,
    hit_channels,
    length,
    make_tile,
    taps,
    window,
)
from .slabs import listened_channels, weight_slabs
from .timing import fire_cycles, sweep_cycles

Matrix = NDArray[np.float64]
NEVER = float(1 << 40)  # size of an empty span: fits nothing, and products stay finite


@dataclass(frozen=True)
class Tiling:
    """One way to cut a layer.

    ``cycles`` is the predicted time per image of the busiest tile.
    """

    blocks: tuple[Span, ...]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    cycles: float

    @property
    def n_tiles(self) -> int:
        """Cores that it takes."""
        return len(self.blocks) * len(self.rows) * len(self.columns)

    def tiles(self, layer: Layer, index: int) -> tuple[Tile, ...]:
        """The tiles: position by position, the channel splits of a position side by side."""
        return tuple(
            make_tile(layer, index, blocks, rows, columns)
            for rows in self.rows
            for columns in self.columns
            for blocks in self.blocks
        )


def split_evenly(size: int, n_parts: int) -> tuple[Span, ...]:
    """``n_parts`` spans that cover ``size``, the longer ones first."""
    short, extra = divmod(size, n_parts)
    stops = np.cumsum([short + (i < extra) for i in range(n_parts)])
    return tuple((int(stop) - short - (i < extra), int(stop)) for i, stop in enumerate(stops))


def split_balanced(cost: Matrix, max_parts: int) -> list[tuple[Span, ...] | None]:
    """For 1 .. ``max_parts`` spans: those with the smallest maximum of ``cost[start, stop]``.

    ``cost`` has one row and column more than there are elements; infinite where a span does not
    fit. None where no split fits.
    """
    size = len(cost) - 1
    best = np.where(np.arange(size + 1) == 0, 0.0, np.inf)
    choices: list[NDArray[np.int64]] = []
    splits: list[tuple[Span, ...] | None] = []
    for _ in range(min(max_parts, size)):
        candidates = np.maximum(best[:, None], cost)
        choices.append(candidates.argmin(axis=0))
        best = candidates.min(axis=0)
        if not np.isfinite(best[size]):
            splits.append(None)
            continue
        stop, spans = size, []
        for choice in reversed(choices):
            spans.append((int(choice[stop]), stop))
            stop = int(choice[stop])
        splits.append(tuple(reversed(spans)))
    return splits


class Axis:
    """Sizes of every span of output rows (or columns), as matrices [start, stop].

    ``span`` holds positions before pooling, ``entries`` sweep entries, ``tables`` the coordinate
    table entries of all connections; ``NEVER`` where stop <= start.
    """

    def __init__(self, network: Network, layer: Layer, axis: int) -> None:
        size = layer.out_shape[1 + axis]
        spans = [window(layer, axis, output) for output in range(size)]
        self.size = size
        self.starts = np.array([start for start, _ in spans] + [0])
        self.stops = np.array([0] + [stop for _, stop in spans])
        empty = np.arange(size + 1)[:, None] >= np.arange(size + 1)
        self.outputs = np.where(empty, NEVER, np.arange(size + 1) - np.arange(size + 1)[:, None])
        self.span = np.where(empty, NEVER, self.stops - self.starts[:, None])
        reads = np.concatenate([[0], np.cumsum([stop - start for start, stop in spans])])
        self.reads = np.where(empty, NEVER, reads - reads[:, None])
        covered = np.concatenate([[0], np.cumsum(_newly_covered(spans))])
        # The first window of a tile is read in full, whether or not a neighbour shares it.
        shared = self.reads[np.arange(size), np.arange(size) + 1] - np.diff(covered)
        self.covered = np.where(empty, NEVER, covered - covered[:, None])
        self.covered[:size] += shared[:, None]
        self.tables = np.zeros((size + 1, size + 1))
        for connection in layer.connections:
            n_sources = network.population(connection.source).shape[1 + axis]
            lows, highs = np.full(size + 1, float(n_sources)), np.zeros(size + 1)
            for output in range(size):
                hit = np.nonzero(taps(connection, axis, n_sources, spans[output])[1])[0]
                lows[output] = hit[0] if len(hit) else n_sources
                highs[output + 1] = hit[-1] + 1 if len(hit) else 0
            lows = np.minimum.accumulate(lows[::-1])[::-1]
            self.tables += np.maximum(0, np.maximum.accumulate(highs) - lows[:, None])


def _newly_covered(spans: list[Span]) -> list[int]:
    stop, new = 0, []
    for span in spans:
        new.append(max(0, span[1] - max(span[0], stop)))
        stop = max(stop, span[1])
    return new


def layer_work(network: Network, layer: Layer, lanes: int, spikes: Mapping[str, Matrix]) -> Matrix:
    """Expected accumulate operations (blocks, H, W) of each word before pooling."""
    _, height, width = layer.shape
    work = np.zeros((block_count(layer.shape[0], lanes), height, width))
    for connection in layer.connections:
        source = spikes[connection.source]
        dense = _operations(connection, source.sum(axis=0), height, width)
        for block in range(len(work)):
            if connection.groups == 1:
                work[block] += dense
            else:
                start, stop = hit_channels(connection, (block, block + 1), lanes)
                hit = source[start:stop].sum(axis=0)
                work[block] += _operations(connection, hit, height, width)
    return work


def _operations(connection: Connection, spikes: Matrix, height: int, width: int) -> Matrix:
    (_, _, n_y, n_x), (sy, sx), (py, px) = (
        connection.weight.shape, connection.stride, connection.padding,
    )  # fmt: skip
    padded = np.zeros((
        max(spikes.shape[0] + 2 * py, (height - 1) * sy + n_y),
        max(spikes.shape[1] + 2 * px, (width - 1) * sx + n_x),
    ))  # fmt: skip
    padded[py : py + spikes.shape[0], px : px + spikes.shape[1]] = spikes
    sums = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    y, x = np.arange(height)[:, None] * sy, np.arange(width) * sx
    return sums[y + n_y, x + n_x] - sums[y, x + n_x] - sums[y + n_y, x] + sums[y, x]


class LayerCost:
    """Predicted cost of every tile of one layer, and what fits a core."""

    def __init__(
        self, network: Network, index: int, params: ChipParams, spikes: Mapping[str, Matrix]
    ) -> None:
        self.network, self.index, self.params = network, index, params
        self.layer = layer = network.layers[index]
        self.spikes = spikes
        self.n_blocks = block_count(layer.shape[0], params.lanes)
        self.axes = Axis(network, layer, 0), Axis(network, layer, 1)
        self.work = layer_work(network, layer, params.lanes, spikes)
        fired = spikes[layer.name]
        padded = np.zeros((self.n_blocks * params.lanes, *fired.shape[1:]))
        padded[: len(fired)] = fired
        self.fired = padded.reshape(self.n_blocks, params.lanes, *fired.shape[1:]).sum(axis=1)
        self._needs: dict[Span, dict[str, tuple[int, int]]] = {}

    def block_needs(self, blocks: Span) -> dict[str, tuple[int, int]]:
        """(needed, available) of the resources that depend on a tile's channel blocks alone."""
        if blocks not in self._needs:
            p, layer = self.params, self.layer
            weights = channels = 0
            for connection in layer.connections:
                source = self.network.population(connection.source)
                weights += weight_slabs(connection, blocks, p.lanes).n_words
                channels += length(
                    listened_channels(
                        source.shape[0], hit_channels(connection, blocks, p.lanes), p.lanes,
                        is_input=connection.source == INPUT,
                    )
                )  # fmt: skip
            self._needs[blocks] = {
                "axon descriptors": (len(layer.connections), p.n_axons),
                "weight words": (weights, p.n_weight_words),
                "channel table entries": (channels, p.n_table_c),
                "requantization blocks": (length(blocks), p.n_blocks),
            }
        return self._needs[blocks]

    def position_needs(
        self, n_blocks: int, rows: Span, columns: Span
    ) -> dict[str, tuple[int, int]]:
        """(needed, available) of the resources that depend on positions."""
        p, (y, x) = self.params, self.axes
        at = tuple(np.ix_([span[0]], [span[1]]) for span in (rows, columns))
        entries = _entries(y, x, at[0], at[1])
        needs = {
            "accumulator words": (y.span[at[0]] * x.span[at[1]] * n_blocks, p.n_acc_words),
            "sweep entries": (entries * n_blocks, p.n_sweep),
            "activation words": (y.outputs[at[0]] * x.outputs[at[1]] * n_blocks, p.n_fire_words),
            "row table entries": (y.tables[at[0]], p.n_table_y),
            "column table entries": (x.tables[at[1]], p.n_table_x),
        }
        return {name: (int(np.max(need)), available) for name, (need, available) in needs.items()}

    def tilings(self, max_tiles: int) -> Iterator[Tiling]:
        """Tilings of at most ``max_tiles`` tiles that fit."""
        seen = set()
        for n_channels in range(1, min(self.n_blocks, max_tiles) + 1):
            largest = -(-self.n_blocks // n_channels)
            if largest in seen:
                continue
            seen.add(largest)
            blocks = split_evenly(self.n_blocks, n_channels)
            if all(need <= has for span in blocks for need, has in self.block_needs(span).values()):
                yield from self._positions(blocks, max_tiles // n_channels)

    def _positions(self, blocks: tuple[Span, ...], max_strips: int) -> Iterator[Tiling]:
        work, fired = self._sums(self.work, blocks), self._sums(self.fired, blocks)
        y, x = self.axes
        n_blocks = length(blocks[0])
        for n_columns in range(1, min(x.size, max_strips) + 1):
            guess = split_evenly(x.size, n_columns)
            widest = _where(guess)
            row_cost = self._cost(
                work[:, :, -1] / n_columns, fired[:, :, -1] / n_columns, y, x, widest, n_blocks
            )
            for rows in split_balanced(row_cost, max_strips // n_columns):
                if rows is None:
                    continue
                strips = _where(rows)
                starts, stops = y.starts[strips[0]], y.stops[strips[1]]
                column_cost = self._cost(
                    (work[:, stops] - work[:, starts]).reshape(-1, work.shape[2]),
                    (fired[:, strips[1]] - fired[:, strips[0]]).reshape(-1, fired.shape[2]),
                    x, y, strips, n_blocks,
                )  # fmt: skip
                columns = split_balanced(column_cost, n_columns)
                if len(columns) < n_columns or columns[-1] is None:
                    continue
                cycles = max(column_cost[span] for span in columns[-1])
                yield Tiling(blocks, rows, columns[-1], float(cycles))

    def _sums(self, values: Matrix, blocks: tuple[Span, ...]) -> Matrix:
        """Sums [group, row, column] of everything above and left, for distinct channel groups."""
        groups = [values[start:stop].sum(axis=0) for start, stop in blocks]
        if all((group <= groups[0]).all() for group in groups):
            groups = groups[:1]
        return np.pad(np.stack(groups).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))

    def _cost(
        self, work: Matrix, fired: Matrix, along: Axis, across: Axis,
        strips: tuple[NDArray, NDArray], n_blocks: int,
    ) -> Matrix:  # fmt: skip
        """Cycles [start, stop] of the busiest of ``strips`` across; infinite where it does not fit.

        ``work`` and ``fired`` are sums up to a position, one row for each strip or group.
        """
        p = self.params
        busiest = np.max(work[:, None, along.stops] - work[:, along.starts, None], axis=0)
        spikes = np.max(fired[:, None, :] - fired[:, :, None], axis=0)
        each = [_entries(along, across, np.s_[:, :], strip) for strip in zip(*strips, strict=True)]
        entries = n_blocks * np.max(each, axis=0)
        outputs = along.outputs * across.outputs[strips].max() * n_blocks
        fits = (
            (along.span * across.span[strips].max() * n_blocks <= p.n_acc_words)
            & (entries <= p.n_sweep)
            & (outputs <= p.n_fire_words)
            & (along.tables <= (p.n_table_y if along is self.axes[0] else p.n_table_x))
        )
        fire = fire_cycles(self.layer.bits, outputs, spikes)
        return np.where(fits, np.maximum(busiest, fire) + sweep_cycles(p, entries), np.inf)

    def traffic(self, tiling: Tiling) -> float:
        """Spikes that arrive, once for every strip of positions that needs them."""
        total = 0.0
        for connection in self.layer.connections:
            source = self.spikes[connection.source].sum(axis=0)
            hits = []
            for axis, spans in ((0, tiling.rows), (1, tiling.columns)):
                needed = [before_pool(self.layer, axis, span) for span in spans]
                reached = [taps(connection, axis, source.shape[axis], span)[1] for span in needed]
                hits.append(np.sum(np.stack(reached) > 0, axis=0))
            total += float(hits[0] @ source @ hits[1])
        return total


def _where(spans: tuple[Span, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    array = np.array(spans)
    return array[:, 0], array[:, 1]


def _entries(a: Axis, b: Axis, at_a: Any, at_b: Any) -> Matrix:
    """Sweep entries per block: reads of all windows, and one for each word that no window reads."""
    reads = a.reads[at_a] * b.reads[at_b]
    gaps = a.span[at_a] * b.span[at_b] - a.covered[at_a] * b.covered[at_b]
    return reads + gaps
