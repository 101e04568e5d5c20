# SPDX-License-Identifier: Apache-2.0
"""Memory contents of one core that do not depend on other cores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Layer, Network
from stemcore.golden.program.words import pack_words, unsigned
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH

from ..errors import AssembleError
from ..mapping.connectivity import Tile, fired_blocks, length, window
from .axon_words import axon_words
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

    Parameters
    ----------
    where : str
        Layer and core, for errors.
    coordinates : int array (words, 3)
        Row, column and block of every activation word, in the order in which words fire.
    runs : sequence of (start, count)
        Destinations of every activation word, in that order.
    """
    layer = network.layers[tile.layer]
    memories = axon_words(network, params, tile, where)
    memories[Memory.UPDATE] = update_words(params, layer, tile, coordinates, where)
    memories[Memory.REQUANT] = requant_words(params, layer, tile)
    memories[Memory.FIRE] = fire_words(params, coordinates, runs)
    if layer.table is not None:
        values = unsigned(layer.table, ACTIVATION_WIDTH)
        memories[Memory.LOOKUP] = pack_words(Formats(params).lookup, {"value": values})
    return memories


def update_words(
    params: ChipParams, layer: Layer, tile: Tile, coordinates: NDArray[np.int64], where: str
) -> Chunks:
    """Entries of the update pass: for each activation word, the positions of its pooling window.

    Before them come accumulator words that no window reads (pooling with gaps). These accumulate as
    well and have to be cleared: their entry begins a window that no entry ends.
    """
    n_blocks = tile.n_blocks
    height, width = length(tile.pre_rows), length(tile.pre_columns)
    address = np.arange(height * width * n_blocks).reshape(height, width, n_blocks)
    # A digit has the constants of its own shift; those of all blocks follow each other.
    fired = fired_blocks(layer, tile.blocks, params.lanes).reshape(-1)
    local = {int(block): i for i, block in enumerate(fired)}
    groups = [local[block] for block in coordinates[:, 2].tolist()]
    rows, columns = (
        {i: slice(*(at - before[0] for at in window(layer, axis, i))) for i in range(*span)}
        for axis, (span, before) in enumerate(
            ((tile.rows, tile.pre_rows), (tile.columns, tile.pre_columns))
        )
    )
    windows = [
        address[rows[y], columns[x], group % n_blocks].reshape(-1)
        for (y, x), group in zip(coordinates[:, :2].tolist(), groups, strict=True)
    ]
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
        [
            unread % n_blocks,
            np.repeat(np.array(groups, np.int64), [len(w) for w in windows]),
        ]
    )
    table = Table(f"{where} update pass", Formats(params).update_pass, params.n_update)
    table.add(acc=acc, block=constants, first=first, last=last, clear=clear)
    return table.words()


def requant_words(params: ChipParams, layer: Layer, tile: Tile) -> Chunks:
    """Requantization constants of groups of lanes, digit by digit.

    Lanes beyond the layer's channels get constants with which they never fire.
    """
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
    columns["bias"] = unsigned(columns["bias"], BIAS_WIDTH)
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
        "make the channels a multiple of the lanes, choose a preset with fewer lanes, or map some"
        " value to 0 (of a quantized model: with a larger scale in front of the function)",
    )


def fire_words(
    params: ChipParams, coordinates: NDArray[np.int64], runs: Sequence[tuple[int, int]]
) -> Chunks:
    """Coordinates and destinations of the activation words, in the order of the update pass."""
    y, x, block = coordinates.T
    start, count = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    columns = {"block": block, "y": y, "x": x, "start": start, "count": count}
    return pack_words(Formats(params).fire, columns)
