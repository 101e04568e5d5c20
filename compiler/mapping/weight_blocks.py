# SPDX-License-Identifier: Apache-2.0
"""Weight words of one connection in one tile, in blocks: the words of one source channel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Connection

from .connectivity import Span, block_count, hit_channels


@dataclass(frozen=True)
class WeightBlocks:
    """Weight words, and what the channel table needs to know.

    Attributes
    ----------
    words : int8 array (weight blocks, K_y, K_x, channel blocks, lanes)
    channels : Span
        Source channels that the arrays below describe; others have no synapse in the tile.
    weight_block, first, count : int64 arrays
        For each of these channels: the index of its weight block in ``words``, the first channel
        block of the tile that it reaches, and how many it reaches.
    n_synapses : int64 array
        For each of these channels: neurons of the tile that one tap of it reaches.
    """

    words: NDArray[np.int8]
    channels: Span
    weight_block: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    n_synapses: NDArray[np.int64]
    lanes: int

    @property
    def n_words(self) -> int:
        """Weight words in all."""
        return int(np.prod(self.words.shape[:4]))

    @property
    def tail(self) -> int:
        """Neurons in the last block of a loop nest, less one.

        Exact where every channel reaches as many neurons beyond its full blocks: all dense
        connections, and grouped ones whose groups do not cross blocks. Otherwise the mean, rounded.
        """
        reached = self.count > 0
        if not reached.any():
            return 0
        last = self.n_synapses[reached] - (self.count[reached] - 1) * self.lanes
        return int(np.clip(np.rint(last.mean()), 1, self.lanes)) - 1


def make_weight_blocks(connection: Connection, blocks: Span, lanes: int) -> WeightBlocks:
    """The weight blocks of a tile with channel blocks ``blocks``.

    Dense in channels: one weight block for each source channel, all blocks of the tile. Grouped:
    the blocks that the channel's group covers, zeros in lanes outside the group; equal weight
    blocks are kept once, so that constant weights (average pooling, identity) take one weight block
    for each lane.
    """
    n_out, per_group, n_y, n_x = connection.weight.shape
    start, stop = hit_channels(connection, blocks, lanes)
    low, high = blocks[0] * lanes, min(blocks[1] * lanes, n_out)
    channels = np.arange(start, stop)
    out_per_group = n_out // connection.groups
    if connection.groups == 1:
        n_blocks = blocks[1] - blocks[0]
        padded = np.zeros((n_blocks * lanes, per_group, n_y, n_x), dtype=np.int8)
        padded[: high - low] = connection.weight[low:high]
        words = padded.reshape(n_blocks, lanes, per_group, n_y, n_x).transpose(2, 3, 4, 0, 1)
        return WeightBlocks(
            words,
            (start, stop),
            channels - start,
            np.zeros_like(channels),
            np.full_like(channels, n_blocks),
            np.full_like(channels, high - low),
            lanes,
        )

    base = 0 if connection.channels is None else connection.channels[0]
    group = (channels - base) // per_group
    first_neuron = np.maximum(group * out_per_group, low)
    last_neuron = np.minimum((group + 1) * out_per_group, high)
    first = first_neuron // lanes
    count = -(-last_neuron // lanes) - first
    words = np.zeros((len(channels), n_y, n_x, int(count.max()), lanes), dtype=np.int8)
    n_reached = np.maximum(last_neuron - first_neuron, 0)
    i = np.repeat(np.arange(len(channels)), n_reached)
    neurons = np.arange(len(i)) + np.repeat(
        first_neuron - np.cumsum(n_reached) + n_reached, n_reached
    )
    weights = connection.weight[neurons, (channels[i] - base) % per_group]
    words[i, :, :, neurons // lanes - first[i], neurons % lanes] = weights
    # In the order of the first channel that uses them, whatever their weights.
    found: dict[bytes, int] = {}
    weight_block = [found.setdefault(block.tobytes(), len(found)) for block in words]
    keep = np.unique(weight_block, return_index=True)[1]
    return WeightBlocks(
        words[keep],
        (start, stop),
        np.array(weight_block, np.int64),
        first - blocks[0],
        count,
        last_neuron - first_neuron,
        lanes,
    )


def count_weight_words(connection: Connection, blocks: Span, lanes: int) -> int:
    """Words of the weight blocks of a tile with channel blocks ``blocks``."""
    if connection.groups == 1:
        return int(np.prod(connection.weight.shape[1:])) * (blocks[1] - blocks[0])
    return make_weight_blocks(connection, blocks, lanes).n_words


def read_channels(n_channels: int, channels: Span, lanes: int, *, is_input: bool) -> Span:
    """Source channels whose spikes arrive: whole blocks; all channels where the host sends."""
    if is_input:
        return 0, n_channels
    return channels[0] // lanes * lanes, min(n_channels, block_count(channels[1], lanes) * lanes)
