# SPDX-License-Identifier: Apache-2.0
"""What a core knows of the spikes that it receives: descriptors, coordinate tables and weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Connection, Network
from stemcore.golden.program.words import pack_words, unsigned
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import WEIGHT_WIDTH

from ..errors import AssembleError, preset_with
from ..mapping.connectivity import Tile, length
from ..mapping.weight_blocks import WeightBlocks, make_weight_blocks, read_channels
from .tables import Table


def axon_words(
    network: Network, params: ChipParams, tile: Tile, where: str
) -> dict[Memory, NDArray[np.uint32]]:
    """AXON, the three coordinate tables and WEIGHT of the core that computes ``tile``.

    A descriptor for each connection of the tile's layer. ``AssembleError`` where a memory is too
    small; ``where`` names layer and core in it.
    """
    core = _AxonMemories(network, params, tile, where)
    for connection in network.layers[tile.layer].connections:
        core.add(connection)
    return core.words()


@dataclass(frozen=True)
class _Axis:
    """Rows or columns: their table, the tile's span, and word address steps of a position."""

    name: str
    number: int  # 0: rows, 1: columns
    table: Table
    span: tuple[int, int]
    acc_step: int


class _AxonMemories:
    """The memories of one core, filled connection by connection."""

    def __init__(self, network: Network, params: ChipParams, tile: Tile, where: str) -> None:
        formats = Formats(params)
        self.network, self.params, self.tile, self.where = network, params, tile, where
        self.axons = Table(f"{where} axon descriptors", formats.axon, params.n_axons)
        self.channels = Table(f"{where} channel table", formats.table_c, params.n_table_c)
        rows = Table(f"{where} row table", formats.table_y, params.n_table_y)
        columns = Table(f"{where} column table", formats.table_x, params.n_table_x)
        # Accumulators lie row by row, column by column, block by block.
        row_step = length(tile.pre_columns) * tile.n_blocks
        self.axes = (
            _Axis("y", 0, rows, tile.pre_rows, row_step),
            _Axis("x", 1, columns, tile.pre_columns, tile.n_blocks),
        )
        self.descriptors: list[dict[str, int]] = []
        self.weights: list[NDArray[np.int8]] = []
        self.n_weights = 0

    def add(self, connection: Connection) -> None:
        """Table entries, weights and the descriptor of a connection."""
        source = self.network.population(connection.source)
        blocks = make_weight_blocks(connection, self.tile.blocks, self.params.lanes)
        _, _, n_x, depth, _ = blocks.words.shape
        descriptor = {"c_base": self._add_channels(connection, source.shape[0], blocks)}
        for axis, weight_step in zip(self.axes, (n_x * depth, depth), strict=True):
            size = source.shape[1 + axis.number]
            descriptor |= self._add_positions(connection, axis, size, weight_step)
        model = self.params.model
        descriptor["shift0"] = model.first_shift(connection.shift, source.bits)
        descriptor["is_signed"] = int(source.is_signed)
        descriptor["tail"] = blocks.tail
        self.descriptors.append(descriptor)
        self.weights.append(blocks.words.reshape(-1, self.params.lanes))
        self.n_weights += blocks.n_words

    def _add_channels(self, connection: Connection, n_channels: int, blocks: WeightBlocks) -> int:
        """Entries of the source's channels: first block, its weights, number of blocks.

        Returns the descriptor's base, to which a spike's channel is added.
        """
        first, last = read_channels(
            n_channels, blocks.channels, self.params.lanes, is_input=connection.source == INPUT
        )
        acc, weight, count = np.zeros((3, last - first), np.int64)
        inside = slice(blocks.channels[0] - first, blocks.channels[1] - first)
        words_per_block = int(np.prod(blocks.words.shape[1:4]))
        acc[inside] = blocks.first
        weight[inside] = self.n_weights + blocks.weight_block * words_per_block
        count[inside] = blocks.count
        base = self.channels.add(acc=acc, weight=weight, count=count)
        return (base - first) % self.params.n_table_c

    def _add_positions(
        self, connection: Connection, axis: _Axis, size: int, weight_step: int
    ) -> dict[str, int]:
        """Entries of the source's rows or columns: first output, its weights, number of outputs.

        Returns the descriptor's base and steps of this axis.
        """
        taps = connection.taps(axis.number, size)
        start, count, kernel_index = taps.within(axis.span)
        hit = np.nonzero(count)[0]
        low, high = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, 1)
        start, count, kernel_index = start[low:high], count[low:high], kernel_index[low:high]
        reaches = count > 0
        base = axis.table.add(
            acc=np.where(reaches, (start - axis.span[0]) * axis.acc_step, 0),
            weight=np.where(reaches, kernel_index * weight_step, 0),
            count=count,
        )
        acc_size = 1 << self.params.acc_address_width
        weight_size = 1 << self.params.weight_address_width
        return {
            f"{axis.name}_base": (base - low) % axis.table.depth,
            f"{axis.name}_acc_step": (taps.advance * axis.acc_step) % acc_size,
            f"{axis.name}_weight_step": (taps.step * weight_step) % weight_size,
        }

    def words(self) -> dict[Memory, NDArray[np.uint32]]:
        """The memories; ``AssembleError`` where they are too small for what was added."""
        p = self.params
        if self.n_weights > p.n_weight_words:
            raise AssembleError(
                f"{self.where} weights",
                f"must hold {self.n_weights} words, has {p.n_weight_words}",
                preset_with(p, "more weight words", "n_weight_words", "give more cores"),
            )
        for descriptor in self.descriptors:
            self.axons.append(**descriptor)
        lanes = unsigned(np.concatenate(self.weights), WEIGHT_WIDTH)
        columns = {f"w{i}": lanes[:, i] for i in range(p.lanes)}
        return {
            Memory.AXON: self.axons.words(),
            Memory.TABLE_C: self.channels.words(),
            Memory.TABLE_Y: self.axes[0].table.words(),
            Memory.TABLE_X: self.axes[1].table.words(),
            Memory.WEIGHT: pack_words(Formats(p).weight, columns),
        }
