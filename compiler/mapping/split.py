# SPDX-License-Identifier: Apache-2.0
"""Splits layers whose fan-in is too large for a core into partial sums, which are sent as bytes.

Part p is a layer that computes ``z_p``, the sum over a span of source channels, for all neurons of
the split layer. It fires ``P_p = s_p z_p + o_p``, a number that is never negative, byte by byte
(:class:`stemcore.golden.network.network.Digits`). The split layer itself then reads these bytes
alone: with byte d of part p shifted by 8 d and weighed ``s_p`` they add up to ``sum_p s_p P_p = z +
sum_p s_p o_p``. The signs ``s_p`` alternate, and the offsets ``o_p`` are chosen so that ``sum_p s_p
o_p = 0``: potentials, constants and activations of the layer stay what they were.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import potential_bounds
from stemcore.golden.network.network import Connection, Digits, Layer, Network
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH

from ..errors import PartitionError, preset_with
from .connectivity import block_count
from .fan_in import FanIn
from .tiling import block_needs

SPLIT_NEEDS = ("weight words", "channel table entries")  # a smaller fan-in needs less of these
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


def _split(network: Network, layer: Layer, params: ChipParams) -> list[Layer]:
    """The layers of the partial sums, then the layer that adds them up."""
    fan_in = FanIn(network, layer, params)
    parts = [fan_in.connections(group) for group in fan_in.best_groups()]
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


def _check(layer: Layer, params: ChipParams, tops: list[IntArray], counts: list[int]) -> None:
    """Raises unless the layer can read all bytes and hold every sum of them.

    Bytes of all parts of one sign may add up; those of both signs together reach no further.
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
                remedy,
            )
