# SPDX-License-Identifier: Apache-2.0
"""Memory contents of one core: descriptors, tables, weights, update "
"pass, constants and fire table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Layer, Network
from stemcore.golden.program.words import pack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ACTIVATION_WIDTH, BIAS_WIDTH, ChipParams

from ..errors import AssembleError, preset_with
from ..mapping.connectivity import Tile, fired_blocks, length, taps, window
from ..mapping.weight_blocks import make_weight_blocks, read_channels
from .tables import Table

Chunks = NDArray[np.uint32]


def build_memories(
    network: Network,
    params: ChipParams,
    tile: Tile,
    where: str,
    coordinates: NDArray[np.int64],
    runs: Sequence[tuple[int, int]],
) -> dict[Memory, Chunks]:
    """All memories but CONTROL and DESTINATION.

    ``coordinates`` holds row, column and block of every activation word, ``runs`` (start, count) of
    its destinations, both in the order in which words fire.
    """
    layer = network.layers[tile.layer]
    memories = _axon_words(network, params, tile, where)
    memories[Memory.UPDATE] = update_words(params, layer, tile, coordinates, where)
    memories[Memory.REQUANT] = requant_words(params, layer, tile)
    memories[Memory.FIRE] = fire_words(params, coordinates, runs)
    if layer.table is not None:
        values = np.asarray(layer.table) & ((1 << ACTIVATION_WIDTH) - 1)
        memories[Memory.LOOKUP] = pack_words(Formats(params).lookup, {"value": values})
    return memories


def _axon_words(
    network: Network, params: ChipParams, tile: Tile, where: str
) -> dict[Memory, Chunks]:
    """Axon descriptors, coordinate tables and weights of all connections."""
    formats, p = Formats(params), params
    layer = network.layers[tile.layer]
    table_c = Table(f"{where} channel table", formats.table_c, p.n_table_c)
    table_y = Table(f"{where} row table", formats.table_y, p.n_table_y)
    table_x = Table(f"{where} column table", formats.table_x, p.n_table_x)
    axons = Table(f"{where} axon descriptors", formats.axon, p.n_axons)
    descriptors: list[dict[str, int]] = []
    weights: list[NDArray[np.int8]] = []
    n_weights = 0
    for connection in layer.connections:
        source = network.population(connection.source)
        weight_blocks = make_weight_blocks(connection, tile.blocks, p.lanes)
        _, n_y, n_x, depth, _ = weight_blocks.words.shape

        # Channels: blocks of the loop nest, and where the channel's weight block begins.
        first, last = read_channels(
            source.shape[0], weight_blocks.channels, p.lanes, is_input=connection.source == INPUT
        )
        columns = {name: np.zeros(last - first, np.int64) for name in ("acc", "weight", "count")}
        inside = slice(weight_blocks.channels[0] - first, weight_blocks.channels[1] - first)
        columns["acc"][inside] = weight_blocks.first
        columns["weight"][inside] = n_weights + weight_blocks.weight_block * (n_y * n_x * depth)
        columns["count"][inside] = weight_blocks.count
        descriptor = {"c_base": (table_c.add(**columns) - first) % p.n_table_c}

        # Positions: accumulators lie row by row, column by column, block by block.
        steps = (length(tile.pre_columns) * tile.n_blocks, tile.n_blocks)
        weight_steps = (n_x * depth, depth)
        for axis, name, table, n_table in (
            (0, "y", table_y, p.n_table_y),
            (1, "x", table_x, p.n_table_x),
        ):
            span = (tile.pre_rows, tile.pre_columns)[axis]
            start, count = taps(connection, axis, source.shape[1 + axis], span)
            hit = np.nonzero(count)[0]
            low, high = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, 1)
            kernel_index = (
                np.arange(low, high)
                + connection.padding[axis]
                - start[low:high] * connection.stride[axis]
            )
            loop_nests = count[low:high] > 0
            base = table.add(
                acc=np.where(loop_nests, (start[low:high] - span[0]) * steps[axis], 0),
                weight=np.where(loop_nests, kernel_index * weight_steps[axis], 0),
                count=count[low:high],
            )
            descriptor[f"{name}_base"] = (base - low) % n_table
            descriptor[f"{name}_acc_step"] = steps[axis] % (1 << p.acc_address_width)
            descriptor[f"{name}_weight_step"] = (-connection.stride[axis] * weight_steps[axis]) % (
                1 << p.weight_address_width
            )
        descriptor["shift0"] = connection.shift + (0 if p.is_stepped else source.bits - 1)
        descriptor["is_signed"] = int(source.is_signed)
        descriptor["tail"] = weight_blocks.tail
        descriptors.append(descriptor)
        weights.append(weight_blocks.words.reshape(-1, p.lanes))
        n_weights += weight_blocks.n_words
    if n_weights > p.n_weight_words:
        raise AssembleError(
            f"{where} weights",
            f"must hold {n_weights} words, has {p.n_weight_words}",
            f"{preset_with(p, 'more weight words', 'n_weight_words')}, or more cores",
        )
    for descriptor in descriptors:
        axons.append(**descriptor)
    lanes = np.concatenate(weights).astype(np.int64) & 0xFF
    return {
        Memory.AXON: axons.words(),
        Memory.TABLE_C: table_c.words(),
        Memory.TABLE_Y: table_y.words(),
        Memory.TABLE_X: table_x.words(),
        Memory.WEIGHT: pack_words(formats.weight, {f"w{i}": lanes[:, i] for i in range(p.lanes)}),
    }


def update_words(
    params: ChipParams, layer: Layer, tile: Tile, coordinates: NDArray[np.int64], where: str
) -> Chunks:
    """Entries word by word, each with its window's positions; before them, those that only clear.

    A word that no window reads (pooling with gaps) still accumulates: its entry starts a window
    that no entry ends, and clears it.
    """
    n_blocks = tile.n_blocks
    height, width = length(tile.pre_rows), length(tile.pre_columns)
    address = np.arange(height * width * n_blocks).reshape(height, width, n_blocks)
    # A digit has the constants of its own shift; those of all blocks follow each other.
    fired = fired_blocks(layer, tile.blocks, params.lanes).reshape(-1)
    local = {int(block): i for i, block in enumerate(fired)}
    windows, sets = [], []
    for y, x, block in coordinates.tolist():
        sets.append(local[block])
        rows = slice(*(r - tile.pre_rows[0] for r in window(layer, 0, y)))
        columns = slice(*(c - tile.pre_columns[0] for c in window(layer, 1, x)))
        windows.append(address[rows, columns, local[block] % n_blocks].reshape(-1))
    unread = np.setdiff1d(address, np.concatenate(windows))
    acc = np.concatenate([unread, *windows])
    starts = np.cumsum([len(unread), *(len(w) for w in windows)])
    first, last = np.zeros((2, len(acc)), np.int64)
    first[: len(unread)] = 1
    first[starts[:-1]] = 1
    last[starts[1:] - 1] = 1
    # The last read of a word clears it.
    clear = np.zeros(len(acc), np.int64)
    clear[len(acc) - 1 - np.unique(acc[::-1], return_index=True)[1]] = 1
    constants = np.concatenate(
        [unread % n_blocks, *(np.full(len(w), d) for w, d in zip(windows, sets, strict=True))]
    )
    table = Table(f"{where} update pass", Formats(params).update_pass, params.n_update)
    table.add(acc=acc, block=constants, first=first, last=last, clear=clear)
    return table.words()


def requant_words(params: ChipParams, layer: Layer, tile: Tile) -> Chunks:
    """Constants group by group, digit by digit; lanes beyond the layer's channels get ones that
    never fire."""
    formats = Formats(params)
    idle = _idle_bias(layer) if layer.shape[0] % params.lanes else 0
    start, stop = tile.blocks[0] * params.lanes, tile.blocks[1] * params.lanes
    n_channels = min(stop, layer.shape[0]) - start
    columns = {}
    for name, values, default in (
        ("bias", np.asarray(layer.bias), idle),
        ("multiplier", np.asarray(layer.multiplier), 1),
        ("shift", np.asarray(layer.shift), 8 * layer.bias_shift),
    ):
        padded = np.full(stop - start, default, dtype=np.int64)
        padded[:n_channels] = values[start : start + n_channels]
        columns[name] = np.tile(padded, tile.n_digits)
    columns["shift"] += ACTIVATION_WIDTH * np.repeat(np.arange(tile.n_digits), stop - start)
    columns["bias"] = columns["bias"] & ((1 << BIAS_WIDTH) - 1)
    lanes = formats.requant_lane.pack(**columns).reshape(-1, params.soma_lanes)
    return pack_words(formats.requant, {f"lane{i}": lanes[:, i] for i in range(lanes.shape[1])})


def _idle_bias(layer: Layer) -> int:
    """A bias with which a potential of zero fires nothing, whatever the activation table says."""
    if layer.table is None:
        return 0
    low, high = layer.population.limits
    mask = (1 << layer.bits) - 1
    for value in sorted(range(low, high + 1), key=abs):
        if layer.table[value & mask] == 0:
            return value
    raise AssembleError(
        layer.name,
        "an activation table must have a zero where channels do not fill the last block of lanes",
        "make the channels a multiple of the lanes or map some value to 0",
    )


def fire_words(
    params: ChipParams, coordinates: NDArray[np.int64], runs: Sequence[tuple[int, int]]
) -> Chunks:
    """Coordinates and destinations of the activation words, in the order of the update pass."""
    y, x, block = coordinates.T
    start, count = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    columns = {"block": block, "y": y, "x": x, "start": start, "count": count}
    return pack_words(Formats(params).fire, columns)
