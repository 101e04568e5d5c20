# SPDX-License-Identifier: Apache-2.0
"""Tiles, and which tile reads which activation word: the one definition that all passes share.

Spans are half-open pairs (start, stop). Sets of tiles are Python integers, bit i for tile i; the
bit above the last tile stands for the host.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import reached_outputs
from stemcore.golden.network.network import INPUT, Connection, Layer, Network

from ..errors import CompileError

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """What one core computes: channel blocks, rows and columns of a layer's output.

    ``pre_rows`` and ``pre_columns`` are the positions before pooling that the outputs need; they
    overlap those of other tiles where pooling windows overlap.
    """

    layer: int  # index into the network's layers
    blocks: Span
    rows: Span
    columns: Span
    pre_rows: Span
    pre_columns: Span
    n_digits: int = 1  # activation words of a potential's word

    @property
    def n_blocks(self) -> int:
        """Channel blocks."""
        return self.blocks[1] - self.blocks[0]

    @property
    def n_acc_words(self) -> int:
        """Accumulator words: position by position, block by block."""
        return length(self.pre_rows) * length(self.pre_columns) * self.n_blocks

    @property
    def n_fire_words(self) -> int:
        """Activation words: position by position, digit by digit, block by block."""
        return length(self.rows) * length(self.columns) * self.n_digits * self.n_blocks


def length(span: Span) -> int:
    """Elements of a span."""
    return span[1] - span[0]


def block_count(channels: int, lanes: int) -> int:
    """Blocks of ``lanes`` channels, the last one perhaps partly empty."""
    return -(-channels // lanes)


def make_tile(layer: Layer, index: int, blocks: Span, rows: Span, columns: Span) -> Tile:
    """The tile of these outputs, with the positions before pooling that they need."""
    return Tile(
        index,
        blocks,
        rows,
        columns,
        before_pool(layer, 0, rows),
        before_pool(layer, 1, columns),
        digit_count(layer),
    )


def digit_count(layer: Layer) -> int:
    """Number of activation words that each word of potentials becomes."""
    return 1 if layer.digits is None else layer.digits.count


def fired_blocks(layer: Layer, blocks: Span, lanes: int) -> NDArray[np.int64]:
    """Blocks (digits, blocks) of the population that a layer's blocks of potentials become."""
    step = 0 if layer.digits is None else block_count(layer.digits.step, lanes)
    return np.add.outer(np.arange(digit_count(layer)) * step, np.arange(*blocks))


def before_pool(layer: Layer, axis: int, outputs: Span) -> Span:
    """Rows (axis 0) or columns (axis 1) before pooling that a span of outputs needs."""
    if layer.pool is None:
        return outputs
    return layer.pool.span(axis, layer.shape[1 + axis], outputs)


def window(layer: Layer, axis: int, output: int) -> Span:
    """Rows or columns before pooling of one output's window, clipped at the border."""
    return before_pool(layer, axis, (output, output + 1))


def taps(
    connection: Connection, axis: int, size: int, outputs: Span
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First output, and number of outputs within ``outputs``, that each source position reaches.

    Rows (axis 0) or columns (axis 1) of a source with ``size`` of them; the first output is
    meaningful where the number is not zero.
    """
    given = (connection.rows, connection.columns)[axis]
    if given is not None:
        first, count, _ = given.within(outputs)
        return first, count
    return reached_outputs(
        size,
        connection.weight.shape[2 + axis],
        connection.stride[axis],
        connection.padding[axis],
        outputs,
    )


def hit_channels(connection: Connection, blocks: Span, lanes: int) -> Span:
    """Source channels with a synapse onto the channel blocks ``blocks``."""
    base = 0 if connection.channels is None else connection.channels[0]
    c_out, per_group = connection.weight.shape[0], connection.weight.shape[1]
    out_per_group = c_out // connection.groups
    start, stop = blocks[0] * lanes, min(blocks[1] * lanes, c_out)
    first, end = start // out_per_group * per_group, -(-stop // out_per_group) * per_group
    return base + first, base + end


def members(mask: int) -> Iterator[int]:
    """Indices of the set bits, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


@dataclass(frozen=True)
class Reader:
    """A connection as its source sees it: the tiles that each row, column and block reaches.

    A word (block, y, x) reaches the tiles ``blocks[block] & rows[y] & columns[x]``.
    """

    layer: int
    axon: int  # index of the connection in its layer; the axon id in every core of that layer
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Connectivity:
    """Which tiles read which activation words, and who exchanges tokens with whom.

    Attributes
    ----------
    readers : per source
        By layer index; the network's input is last (index -1).
    coordinates : per tile, int array (words, 3)
        Row, column and block of every activation word, in the order in which it fires them.
    words : per tile
        For every activation word, in that order, the tiles reached through each reader.
    destinations : per tile, then the host
        Set of tiles (or the host) that get END from it and send it CREDIT: those that any word
        reaches. A tile that reaches nothing, or that nothing reaches, is joined to the first tile
        of a neighbouring layer, so that every core takes part in the exchange of tokens.
    """

    readers: tuple[tuple[Reader, ...], ...]
    coordinates: tuple[NDArray[np.int64], ...]
    words: tuple[tuple[tuple[int, ...], ...], ...]
    destinations: tuple[int, ...]

    def sources(self, tile: int) -> int:
        """Set of tiles (or the host) whose END ``tile`` awaits."""
        return sum(1 << i for i, mask in enumerate(self.destinations) if mask >> tile & 1)


def _reader(network: Network, tiles: tuple[Tile, ...], lanes: int, layer: int, axon: int) -> Reader:
    connection = network.layers[layer].connections[axon]
    channels, height, width = network.population(connection.source).shape
    rows, columns = [0] * height, [0] * width
    blocks = [0] * block_count(channels, lanes)
    for index, tile in enumerate(tiles):
        if tile.layer != layer:
            continue
        for masks, axis, span in ((rows, 0, tile.pre_rows), (columns, 1, tile.pre_columns)):
            for position in np.nonzero(taps(connection, axis, len(masks), span)[1])[0]:
                masks[position] |= 1 << index
        start, stop = hit_channels(connection, tile.blocks, lanes)
        for block in range(start // lanes, block_count(stop, lanes)):
            blocks[block] |= 1 << index
    return Reader(layer, axon, tuple(rows), tuple(columns), tuple(blocks))


def connect(network: Network, tiles: tuple[Tile, ...], lanes: int) -> Connectivity:
    """The connectivity of tiles that cover the network."""
    position = {layer.name: index for index, layer in enumerate(network.layers)}
    position[INPUT] = -1
    readers: list[list[Reader]] = [[] for _ in range(len(network.layers) + 1)]
    for index, layer in enumerate(network.layers):
        for axon, connection in enumerate(layer.connections):
            readers[position[connection.source]].append(_reader(network, tiles, lanes, index, axon))
    for index, layer in enumerate(network.layers):
        if not readers[index] and layer.name not in network.output_layers:
            raise CompileError(
                layer.name,
                "must be read by another layer or be an output, nothing reads it",
                "remove it from the network",
            )

    coordinates, words = [], []
    for index, tile in enumerate(tiles):
        fired = fired_blocks(network.layers[tile.layer], tile.blocks, lanes).reshape(-1)
        spans = np.arange(*tile.rows), np.arange(*tile.columns), fired
        grid = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1)
        grid = grid.reshape(-1, 3)
        reached = [
            tuple(r.blocks[b] & r.rows[y] & r.columns[x] for r in readers[tile.layer])
            for y, x, b in grid.tolist()
        ]
        order = _interleave(reached, index)
        coordinates.append(grid[order])
        words.append(tuple(reached[i] for i in order))
    return Connectivity(
        tuple(tuple(group) for group in readers),
        tuple(coordinates),
        tuple(words),
        _tokens(network, tiles, readers, tuple(words)),
    )


def _interleave(reached: list[tuple[int, ...]], phase: int) -> list[int]:
    """An order in which words for different tiles take turns.

    A core waits for the tile that its next spike goes to. In the order of positions it would keep
    one tile of the next layer busy after the other; like this it keeps all busy at once. Cores
    with different ``phase`` begin with different tiles.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, masks in enumerate(reached):
        groups.setdefault(masks, []).append(i)
    n_groups = len(groups)
    keys = []
    for rank, members_ in enumerate(groups.values()):
        turn = (rank + phase) % n_groups
        keys += [((2 * i + 1) / len(members_), turn, word) for i, word in enumerate(members_)]
    return [word for _, _, word in sorted(keys)]


def _tokens(
    network: Network,
    tiles: tuple[Tile, ...],
    readers: list[list[Reader]],
    words: tuple[tuple[tuple[int, ...], ...], ...],
) -> tuple[int, ...]:
    host, output_layers = len(tiles), set(network.output_layers)
    first_tile: dict[int, int] = {-1: host}
    for index, tile in enumerate(tiles):
        first_tile.setdefault(tile.layer, index)
    position = {layer.name: index for index, layer in enumerate(network.layers)}
    position[INPUT] = -1

    destinations = [0] * (host + 1)
    for index, tile in enumerate(tiles):
        if network.layers[tile.layer].name in output_layers:
            destinations[index] = 1 << host
        for masks in set(words[index]):
            for mask in masks:
                destinations[index] |= mask
        if not destinations[index]:
            destinations[index] = 1 << first_tile[readers[tile.layer][0].layer]
    for reader in readers[-1]:
        destinations[host] |= _any(reader.rows) & _any(reader.columns) & _any(reader.blocks)
    received = _any(destinations)
    for index, tile in enumerate(tiles):
        if not received >> index & 1:
            source = position[network.layers[tile.layer].connections[0].source]
            destinations[first_tile[source]] |= 1 << index
    return tuple(destinations)


def _any(masks: "tuple[int, ...] | list[int]") -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result
