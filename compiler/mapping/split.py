# SPDX-License-Identifier: Apache-2.0
"""Splits layers whose fan-in is too large for a core into parts that send their sums as bytes.

A part computes the sum over a span of source channels for all neurons of the layer, ``z_p``. It
fires ``P_p = s_p z_p + o_p``, a number that is never negative, byte by byte
(:class:`stemcore.golden.network.network.Digits`). The layer itself then reads bytes alone: with
byte d of part p shifted by 8 d and weighed ``s_p`` it adds up to ``sum_p s_p P_p = z + sum_p s_p
o_p``. Signs alternate and offsets are chosen so that ``sum_p s_p o_p = 0``: potentials, constants
and activations of the layer stay what they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import potential_bounds
from stemcore.golden.network.network import INPUT, Connection, Digits, Layer, Network
from stemcore.golden.spec.params import ACTIVATION_WIDTH, BIAS_WIDTH, ChipParams

from ..errors import PartitionError, preset_with
from .connectivity import Span, block_count, hit_channels, length
from .tiling import block_needs
from .weight_blocks import count_weight_words, read_channels

SPLIT_NEEDS = ("weight words", "channel table entries")  # what a smaller fan-in needs less of
IntArray = NDArray[np.int64]


def part_name(layer: str, n: int) -> str:
    """Name of the ``n``-th part of a layer, counted from 1."""
    return f"{layer}.part{n}"


def split_layers(network: Network, params: ChipParams) -> Network:
    """The same function; no layer needs more weight words or channel entries than a core has.

    Layers that fit, and networks that are integrated per time step, stay as they are. Values of the
    network's own layers do not change; parts are layers called :func:`part_name`.

    Raises
    ------
    PartitionError
        Where a single channel of a kernel does not fit, or the sum of the parts does not.
    """
    if params.is_stepped:
        return network
    layers: list[Layer] = []
    scales = dict(network.scales)
    for layer in network.layers:
        if layer.digits is not None or _fits(network, layer, params):
            layers.append(layer)
            continue
        *parts, total = _split(network, layer, params)
        layers += [*parts, total]
        scales |= {part.name: 1.0 for part in parts}
    return replace(network, layers=tuple(layers), scales=scales)


def _fits(network: Network, layer: Layer, params: ChipParams) -> bool:
    for block in range(block_count(layer.shape[0], params.lanes)):
        needs = block_needs(network, layer, params, (block, block + 1))
        if any(needs[name][0] > needs[name][1] for name in SPLIT_NEEDS):
            return False
    return True


@dataclass(frozen=True)
class _Piece:
    """Source channels of a connection that stay together; weight words of one channel block."""

    connection: int
    channels: Span
    words: int


class _Cut:
    """One layer's fan-in, in pieces."""

    def __init__(self, network: Network, layer: Layer, params: ChipParams) -> None:
        self.network, self.layer, self.params = network, layer, params
        self.blocks = [(b, b + 1) for b in range(block_count(layer.shape[0], params.lanes))]
        self.pieces = [
            piece
            for index, connection in enumerate(layer.connections)
            for piece in self._pieces(index, connection)
        ]
        for piece in self.pieces:
            self._check(piece)

    def _pieces(self, index: int, connection: Connection) -> Iterator[_Piece]:
        """A block of lanes of channels each; fewer channels where these have too many weights."""
        lanes, most = self.params.lanes, self.params.n_weight_words
        first, stop = connection.span(self.network.population(connection.source))
        if connection.groups > 1:
            words = max(count_weight_words(connection, block, lanes) for block in self.blocks)
            yield _Piece(index, (first, stop), words)
            return
        n_taps = int(np.prod(connection.weight.shape[2:]))
        step = lanes
        while step > 1 and step * n_taps > most:
            step //= 2
        while first < stop:
            end = min(stop, (first // step + 1) * step)
            yield _Piece(index, (first, end), (end - first) * n_taps)
            first = end

    def _check(self, piece: _Piece) -> None:
        p, connection = self.params, self.layer.connections[piece.connection]
        first, stop = piece.channels
        what = f"channels {first}..{stop - 1} of {connection.source}" + (
            f" in {connection.groups} groups" if connection.groups > 1 else ""
        )
        for name, need, has in (
            ("weight words", piece.words, p.n_weight_words),
            ("channel table entries", self._entries([piece]), p.n_table_c),
        ):
            if need > has:
                raise PartitionError(
                    self.layer.name,
                    f"its fan-in cannot be split further than to {what}; "
                    f"these need {need} {name}, a core has {has}",
                    f"{preset_with(p, 'larger memories')}, or a smaller layer",
                )

    def connections(self, group: list[_Piece]) -> tuple[Connection, ...]:
        """The synapses of a group of neighbouring pieces."""
        spans: dict[int, Span] = {}
        for piece in group:
            first, _ = spans.get(piece.connection, piece.channels)
            spans[piece.connection] = first, piece.channels[1]
        found = []
        for index, (first, stop) in spans.items():
            connection = self.layer.connections[index]
            base, end = connection.span(self.network.population(connection.source))
            if (first, stop) != (base, end):
                weight = connection.weight[:, first - base : stop - base]
                connection = replace(connection, weight=weight, channels=(first, stop))
            found.append(connection)
        return tuple(found)

    def _entries(self, group: list[_Piece]) -> int:
        """Channel table entries of the most demanding channel block."""
        lanes, most = self.params.lanes, 0
        connections = self.connections(group)
        for block in self.blocks:
            entries = 0
            for c in connections:
                n_channels = self.network.population(c.source).shape[0]
                hit = hit_channels(c, block, lanes)
                is_input = c.source == INPUT
                entries += length(read_channels(n_channels, hit, lanes, is_input=is_input))
            most = max(most, entries)
        return most

    def groups(self, n_words: int) -> list[list[_Piece]]:
        """Runs of pieces, each as long as ``n_words`` and the channel table let it be."""
        groups: list[list[_Piece]] = [[]]
        for piece in self.pieces:
            longer = [*groups[-1], piece]
            fits = sum(p.words for p in longer) <= n_words
            if groups[-1] and not (fits and self._entries(longer) <= self.params.n_table_c):
                groups.append([piece])
            else:
                groups[-1] = longer
        return groups

    def best(self) -> list[list[_Piece]]:
        """The fewest groups, the largest of them as small as that allows."""
        high = self.params.n_weight_words
        n_groups = len(self.groups(high))
        low = max(piece.words for piece in self.pieces)
        while low < high:
            middle = (low + high) // 2
            if len(self.groups(middle)) <= n_groups:
                high = middle
            else:
                low = middle + 1
        return self.groups(high)


def _split(network: Network, layer: Layer, params: ChipParams) -> list[Layer]:
    """The parts, then the layer that sums them."""
    cut = _Cut(network, layer, params)
    groups = cut.best()
    parts = [cut.connections(group) for group in groups]
    signs = [1 - 2 * (p % 2) for p in range(len(parts))]
    parts = [
        tuple(replace(c, weight=c.weight * np.int8(sign)) for c in connections)
        for connections, sign in zip(parts, signs, strict=True)
    ]
    offsets, tops = _offsets(network, layer, parts, signs)
    counts = [max(1, -(-int(top.max()).bit_length() // ACTIVATION_WIDTH)) for top in tops]
    _check(layer, params, tops, counts)

    channels = layer.shape[0]
    step = block_count(channels, params.lanes) * params.lanes
    zeros, ones = np.zeros(channels, np.int64), np.ones(channels, np.int64)
    made, received = [], []
    for p, connections in enumerate(parts):
        name = part_name(layer.name, p + 1)
        made.append(
            Layer(
                name,
                layer.shape,
                connections,
                offsets[p],
                ones,
                zeros,
                digits=Digits(counts[p], step),
            )
        )
        weight = np.full((channels, 1, 1, 1), signs[p], np.int8)
        received += [
            Connection(
                name,
                weight,
                groups=channels,
                shift=ACTIVATION_WIDTH * d,
                channels=(d * step, d * step + channels),
            )
            for d in range(counts[p])
        ]
    return [*made, replace(layer, connections=tuple(received))]


def _offsets(
    network: Network, layer: Layer, parts: list[tuple[Connection, ...]], signs: list[int]
) -> tuple[list[IntArray], list[IntArray]]:
    """Per part and channel: what makes the sum not negative, and the largest sum then.

    Offsets of positive and of negative parts add up to the same.
    """
    lows, highs = [], []
    for connections in parts:
        bounds = [potential_bounds(c, network.population(c.source)) for c in connections]
        lows.append(np.sum([low for low, _ in bounds], axis=0))
        highs.append(np.sum([high for _, high in bounds], axis=0))
    offsets = [-low for low in lows]
    surplus = sum(sign * offset for sign, offset in zip(signs, offsets, strict=True))
    # The first two parts have different signs.
    offsets[0] = offsets[0] + np.maximum(-surplus, 0)
    offsets[1] = offsets[1] + np.maximum(surplus, 0)
    return offsets, [high + offset for high, offset in zip(highs, offsets, strict=True)]


def _check(layer: Layer, params: ChipParams, tops: list[IntArray], counts: list[int]) -> None:
    """Raises unless the layer can read all digits and hold every sum of them.

    Of parts of one sign all digits add up; those of both signs together reach no further.
    """
    reach = max(int(np.sum(tops[first::2], axis=0).max()) for first in (0, 1))
    highest = ACTIVATION_WIDTH * max(counts) - 1
    for what, need, has, remedy in (
        (
            "sums of its parts, in bits with sign",
            reach.bit_length() + 1,
            params.acc_width,
            preset_with(params, "a wider accumulator", "acc_width"),
        ),
        (
            "offsets, in bits with sign",
            max(int(top.max()) for top in tops).bit_length() + 1,
            BIAS_WIDTH,
            preset_with(params, "more weight words", "n_weight_words"),
        ),
        (
            "shift of the highest bit",
            highest,
            (1 << params.shift_width) - 1,
            preset_with(params, "a larger shift_width", "shift_width"),
        ),
        (
            "axon descriptors for the digits of its parts",
            sum(counts),
            params.n_axons,
            preset_with(params, "more axons or more weight words", "n_axons"),
        ),
    ):
        if need > has:
            raise PartitionError(
                layer.name,
                f"its fan-in has to be split in {len(tops)}; {what}: must be at most {has}, "
                f"is {need}",
                f"{remedy}, or a smaller layer",
            )
