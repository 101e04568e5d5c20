# SPDX-License-Identifier: Apache-2.0
"""Splits layers whose fan-in is too large for a core into partial sums, which are sent as bytes.

Part p is a layer that computes ``z_p``, the sum over a span of source channels, for all neurons of
the split layer. It fires ``P_p = s_p z_p + o_p``, a number that is never negative, byte by byte
(:class:`stemcore.golden.network.network.Digits`). The split layer itself then reads these bytes
alone: with byte d of part p times ``2**(8 d)`` and weighed ``s_p`` they add up to ``sum_p s_p P_p =
z + sum_p s_p o_p``. The signs ``s_p`` alternate, and the offsets ``o_p`` are chosen so that ``sum_p
s_p o_p = 0``: potentials, constants and activations of the layer stay what they were.

A power of two that no connection shift gives is a shift times a weight, and that added several
times where it is too small (:func:`digit_factor`). Where a core has no descriptors for
all digits of all parts, parts are fewer and larger, and are split in turn: a tree of sums.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import potential_bounds
from stemcore.golden.network.network import Connection, Digits, Layer, Network
from stemcore.golden.network.taps import repeated_taps
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH, WEIGHT_WIDTH

from ..errors import PartitionError, preset_with
from .connectivity import block_count
from .fan_in import FanIn
from .tiling import block_needs

SPLIT_NEEDS = ("weight words", "channel table entries")  # a smaller fan-in needs less of these
MOST_REPEATS = 16  # of a digit's weight: each costs a cycle of every spike
IntArray = NDArray[np.int64]


def part_name(layer: str, n: int) -> str:
    """Name of the ``n``-th part of a layer, counted from 1."""
    return f"{layer}.part{n}"


def split_layers(network: Network, params: ChipParams) -> Network:
    """The network with every fan-in split that needs more weight words or channel entries than fit.

    Layers that fit stay as they are, and so do networks for neuron models that are not exact, whose
    potentials cannot be put together from digits. Values of the network's own layers do not change;
    parts are layers called :func:`part_name`.

    Raises
    ------
    PartitionError
        Where a single channel of a kernel does not fit, or the sum of the parts does not.
    """
    if not params.model.is_exact:
        return network
    layers: list[Layer] = []
    scales = dict(network.scales)
    for layer in network.layers:
        is_part = layer.digits is not None
        made = [layer] if is_part else _in_parts(network, layer, params)
        layers += made
        scales |= {part.name: 1.0 for part in made[:-1]}
    return replace(network, layers=tuple(layers), scales=scales)


def _in_parts(network: Network, layer: Layer, params: ChipParams) -> list[Layer]:
    """The layer by itself, or behind parts that fit."""
    if _fits(network, layer, params):
        return [layer]
    *parts, total = _split(network, layer, params)
    return [*(made for part in parts for made in _in_parts(network, part, params)), total]


def _fits(network: Network, layer: Layer, params: ChipParams) -> bool:
    for block in range(block_count(layer.shape[0], params.lanes)):
        needs = block_needs(network, layer, params, (block, block + 1))
        if any(needs[name][0] > needs[name][1] for name in SPLIT_NEEDS):
            return False
    return True


def _split(network: Network, layer: Layer, params: ChipParams) -> list[Layer]:
    """The layers of the partial sums, then the layer that adds them up."""
    fan_in = FanIn(network, layer, params)
    groups = fan_in.best_groups()
    parts = _Parts(network, layer, params, [fan_in.connections(group) for group in groups])
    for n in range(len(groups) - 1, 1, -1):
        if parts.can_be_read:
            break
        fewer = [fan_in.connections(group) for group in fan_in.even_groups(n)]
        parts = _Parts(network, layer, params, fewer)
    parts.check()
    return [*parts.layers(), replace(layer, connections=parts.read())]


class _Parts:
    """The partial sums of a layer: a digits layer for every group of its connections.

    ``groups`` are at least two; the connections of every other one are negated.
    """

    def __init__(
        self,
        network: Network,
        layer: Layer,
        params: ChipParams,
        groups: list[tuple[Connection, ...]],
    ) -> None:
        self.layer, self.params = layer, params
        self.signs = [1 - 2 * (p % 2) for p in range(len(groups))]
        self.groups = [
            tuple(replace(c, weight=c.weight * np.int8(sign)) for c in connections)
            for connections, sign in zip(groups, self.signs, strict=True)
        ]
        self.offsets, self.tops = _offsets(network, self.groups, self.signs)
        self.counts = [
            max(1, -(-int(top.max()).bit_length() // ACTIVATION_WIDTH)) for top in self.tops
        ]
        self.names = [part_name(layer.name, p + 1) for p in range(len(groups))]
        # Digits begin at whole blocks of lanes.
        self.step = block_count(layer.shape[0], params.lanes) * params.lanes

    @property
    def n_digits(self) -> int:
        """Descriptors that the layer needs in order to read all of them."""
        return sum(self.counts)

    @property
    def can_be_read(self) -> bool:
        """Whether a core has the descriptors and weights for it: a weight word a lane and digit."""
        n_words = self.n_digits * self.params.lanes
        return self.n_digits <= self.params.n_axons and n_words <= self.params.n_weight_words

    def layers(self) -> list[Layer]:
        """Which fire the digits."""
        channels = self.layer.shape[0]
        zeros, ones = np.zeros(channels, np.int64), np.ones(channels, np.int64)
        return [
            Layer(
                name, self.layer.shape, group, offset, ones, zeros, digits=Digits(count, self.step)
            )
            for name, group, offset, count in zip(
                self.names, self.groups, self.offsets, self.counts, strict=True
            )
        ]

    def read(self) -> tuple[Connection, ...]:
        """The connections that add them up."""
        return tuple(
            self._read_digit(name, sign, digit)
            for name, sign, count in zip(self.names, self.signs, self.counts, strict=True)
            for digit in range(count)
        )

    def _read_digit(self, name: str, sign: int, digit: int) -> Connection:
        channels, height, _ = self.layer.shape
        first = digit * self.step
        shift, weight, repeats = digit_factor(digit, self.params)
        return Connection(
            name,
            np.full((channels, 1, 1, 1), sign * weight, np.int8),
            groups=channels,
            shift=shift,
            channels=(first, first + channels),
            rows=repeated_taps(height, repeats) if repeats > 1 else None,
        )

    def check(self) -> None:
        """Raises unless the layer can read all bytes and hold every sum of them.

        Bytes of all parts of one sign may add up; those of both signs together reach no further.
        """
        params = self.params
        reach = max(int(np.sum(self.tops[first::2], axis=0).max()) for first in (0, 1))
        for what, need, has, remedy in (
            (
                "sums of its parts, in bits with sign",
                reach.bit_length() + 1,
                params.acc_width,
                preset_with(params, "a wider accumulator", "acc_width"),
            ),
            (
                "offsets, in bits with sign",
                max(int(top.max()) for top in self.tops).bit_length() + 1,
                BIAS_WIDTH,
                preset_with(params, "more weight words", "n_weight_words"),
            ),
            (
                "additions for a spike of the highest digit",
                digit_factor(max(self.counts) - 1, params)[2],
                MOST_REPEATS,
                preset_with(params, "a larger shift_width", "shift_width"),
            ),
            (
                "axon descriptors for the digits of its parts",
                self.n_digits,
                params.n_axons,
                preset_with(params, "more axons or more weight words", "n_axons"),
            ),
        ):
            if need > has:
                raise PartitionError(
                    self.layer.name,
                    f"its fan-in has to be split in {len(self.tops)}; {what}: must be at most "
                    f"{has}, is {need}",
                    remedy,
                )


def digit_factor(digit: int, params: ChipParams) -> tuple[int, int, int]:
    """``2**(8 digit)`` as connection shift, weight, and how often that is added: as rarely as can
    be."""
    power = ACTIVATION_WIDTH * digit
    shift = min(power, (1 << params.shift_width) - ACTIVATION_WIDTH)
    of_weight = min(power - shift, WEIGHT_WIDTH - 2)
    return shift, 1 << of_weight, 1 << (power - shift - of_weight)


def _offsets(
    network: Network, parts: list[tuple[Connection, ...]], signs: list[int]
) -> tuple[list[IntArray], list[IntArray]]:
    """Offsets ``o_p``, and the largest values of ``P_p``: an array (C,) for each part.

    Offsets of parts with positive and with negative sign add up to the same.
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
