# SPDX-License-Identifier: Apache-2.0
"""Which source channels of a layer can go to different cores, and how to group them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from stemcore.golden.network.network import INPUT, Connection, Layer, Network
from stemcore.golden.spec.params import ChipParams

from ..errors import PartitionError, preset_with
from .connectivity import Span, block_count, hit_channels, length
from .weight_blocks import count_weight_words, read_channels


@dataclass(frozen=True)
class ChannelSlice:
    """Source channels of a connection that stay together.

    ``words`` are the weight words that they take for one block of output channels.
    """

    connection: int  # index in the layer
    channels: Span
    words: int


class FanIn:
    """The fan-in of one layer, cut into the smallest slices of channels that a core can take.

    Raises ``PartitionError`` where a slice by itself exceeds the memories of a core.
    """

    def __init__(self, network: Network, layer: Layer, params: ChipParams) -> None:
        self.network, self.layer, self.params = network, layer, params
        self.blocks = [(b, b + 1) for b in range(block_count(layer.shape[0], params.lanes))]
        self.slices = [
            channel_slice
            for index, connection in enumerate(layer.connections)
            for channel_slice in self._cut(index, connection)
        ]
        for channel_slice in self.slices:
            self._check(channel_slice)

    def _cut(self, index: int, connection: Connection) -> Iterator[ChannelSlice]:
        """Slices of as many channels as there are lanes; of fewer where kernels are large."""
        lanes, most = self.params.lanes, self.params.n_weight_words
        first, stop = connection.span(self.network.population(connection.source))
        if connection.groups > 1:
            words = max(count_weight_words(connection, block, lanes) for block in self.blocks)
            yield ChannelSlice(index, (first, stop), words)
            return
        n_taps = int(np.prod(connection.weight.shape[2:]))
        step = lanes
        while step > 1 and step * n_taps > most:
            step //= 2
        while first < stop:
            end = min(stop, (first // step + 1) * step)
            yield ChannelSlice(index, (first, end), (end - first) * n_taps)
            first = end

    def _check(self, channel_slice: ChannelSlice) -> None:
        p, connection = self.params, self.layer.connections[channel_slice.connection]
        first, stop = channel_slice.channels
        what = f"channels {first}..{stop - 1} of {connection.source}" + (
            f" in {connection.groups} groups" if connection.groups > 1 else ""
        )
        for name, need, has in (
            ("weight words", channel_slice.words, p.n_weight_words),
            ("channel table entries", self._entries([channel_slice]), p.n_table_c),
        ):
            if need > has:
                raise PartitionError(
                    self.layer.name,
                    f"its fan-in cannot be split further than to {what}; "
                    f"these need {need} {name}, a core has {has}",
                    preset_with(p, "larger memories"),
                )

    def connections(self, group: list[ChannelSlice]) -> tuple[Connection, ...]:
        """The connections of the layer, restricted to a group of neighbouring slices."""
        spans: dict[int, Span] = {}
        for channel_slice in group:
            first, _ = spans.get(channel_slice.connection, channel_slice.channels)
            spans[channel_slice.connection] = first, channel_slice.channels[1]
        found = []
        for index, (first, stop) in spans.items():
            connection = self.layer.connections[index]
            base, end = connection.span(self.network.population(connection.source))
            if (first, stop) != (base, end):
                weight = connection.weight[:, first - base : stop - base]
                connection = replace(connection, weight=weight, channels=(first, stop))
            found.append(connection)
        return tuple(found)

    def _entries(self, group: list[ChannelSlice]) -> int:
        """Channel table entries of the most demanding block of output channels."""
        connections = self.connections(group)
        # What is dense in channels needs as many entries for one block as for any other.
        is_dense = all(connection.groups == 1 for connection in connections)
        return max(
            read_entries(self.network, connections, block, self.params.lanes)
            for block in (self.blocks[:1] if is_dense else self.blocks)
        )

    def _groups(self, n_words: int) -> list[list[ChannelSlice]]:
        """Runs of slices, each as long as ``n_words`` and the channel table allow."""
        groups: list[list[ChannelSlice]] = [[]]
        for channel_slice in self.slices:
            longer = [*groups[-1], channel_slice]
            fits = sum(one.words for one in longer) <= n_words
            if groups[-1] and not (fits and self._entries(longer) <= self.params.n_table_c):
                groups.append([channel_slice])
            else:
                groups[-1] = longer
        return groups

    def best_groups(self) -> list[list[ChannelSlice]]:
        """The fewest groups that fit a core each, the largest of them as small as that allows."""
        high = self.params.n_weight_words
        n_groups = len(self._groups(high))
        low = max(channel_slice.words for channel_slice in self.slices)
        while low < high:
            middle = (low + high) // 2
            if len(self._groups(middle)) <= n_groups:
                high = middle
            else:
                low = middle + 1
        return self._groups(high)

    def even_groups(self, n: int) -> list[list[ChannelSlice]]:
        """``n`` groups with about the same number of words, whether or not they fit a core.

        ``n`` is at most the number of slices.
        """
        words = np.cumsum([one.words for one in self.slices])
        cuts = np.searchsorted(words, words[-1] * np.arange(1, n) / n) + 1
        # None is empty.
        cuts = np.minimum(
            np.maximum.accumulate(cuts - np.arange(1, n)) + np.arange(1, n),
            len(words) - n + np.arange(1, n),
        )
        bounds = [0, *cuts.tolist(), len(words)]
        return [self.slices[a:b] for a, b in pairwise(bounds)]


def read_entries(
    network: Network, connections: tuple[Connection, ...], blocks: Span, lanes: int
) -> int:
    """Channel table entries of a core that computes ``blocks`` from these connections."""
    n_entries = 0
    for connection in connections:
        n_channels = network.population(connection.source).shape[0]
        hit = hit_channels(connection, blocks, lanes)
        is_input = connection.source == INPUT
        n_entries += length(read_channels(n_channels, hit, lanes, is_input=is_input))
    return n_entries
