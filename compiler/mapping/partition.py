# SPDX-License-Identifier: Apache-2.0
"""Cuts every layer into tiles, one tile a core, so that the busiest core has the least to do."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.spec.params import ChipParams

from ..activity import Activity, spike_maps
from ..errors import PartitionError, preset_with
from .connectivity import Tile, block_count, length, make_tile
from .tiling import LayerCost

N_BISECTIONS = 14  # halvings of the time of the busiest core


@dataclass(frozen=True)
class Partition:
    """Tiles layer by layer, and the predicted cycles per image of every tile."""

    tiles: tuple[Tile, ...]
    cycles: tuple[float, ...]

    @property
    def n_cores(self) -> int:
        """Cores that the network takes."""
        return len(self.tiles)


def partition(
    network: Network,
    params: ChipParams,
    n_cores: int | None = None,
    activity: Activity | None = None,
) -> Partition:
    """:meth:`Partitioner.cut`, once."""
    return Partitioner(network, params, activity).cut(n_cores)


class Partitioner:
    """Cuts a network into tiles, for as many numbers of cores as are asked for.

    Raises ``PartitionError`` where a layer cannot be cut so that its tiles fit a core.
    """

    def __init__(
        self, network: Network, params: ChipParams, activity: Activity | None = None
    ) -> None:
        check_coordinates(network, params)
        self.network = network
        self.largest = params.max_columns * params.max_rows
        if len(network.layers) > self.largest:  # known before tiles, which take long to cut
            raise too_many_layers(network.name, len(network.layers), "", self.largest)
        self.spikes = spike_maps(network, activity)
        self.costs = [
            LayerCost(network, i, params, self.spikes) for i in range(len(network.layers))
        ]
        counts = [cost.n_tiles(np.inf) for cost in self.costs]
        for cost, count in zip(self.costs, counts, strict=True):
            if not np.isfinite(count):
                _raise_too_large(cost)
        self.fewest = int(sum(counts))

    def check_budget(self, n_cores: int | None = None) -> None:
        """Raises ``PartitionError`` where ``n_cores`` cores, or the largest mesh, are too few."""
        if self.fewest <= (self.largest if n_cores is None else n_cores):
            return
        has = f"the largest mesh has {self.largest}" if n_cores is None else f"has {n_cores}"
        raise PartitionError(
            self.network.name,
            f"needs at least {self.fewest} cores, {has}",
            "give more cores, a larger mesh or a preset with larger memories",
        )

    def cut(self, n_cores: int | None = None) -> Partition:
        """Tiles for at most ``n_cores`` cores; as few cores as will do where that is None.

        Afterwards every neuron is computed by one tile (:func:`check_partition`), and every tile
        fits the memories that do not depend on placement. The busiest core takes the least time
        that the budget allows, as far as the considered cuts go; each layer takes the fewest cores
        for that.
        """
        self.check_budget(n_cores)
        costs = self.costs
        target = np.inf
        if n_cores is not None:
            target = _least_target(self.network, costs, n_cores, self.spikes)
        tiles = [cost.tiles(target) for cost in costs]
        return Partition(
            tuple(tile for group in tiles for tile in group),
            tuple(cost.cycles(t) for cost, group in zip(costs, tiles, strict=True) for t in group),
        )


def too_many_layers(name: str, n_layers: int, most: str, largest: int) -> PartitionError:
    """The error of a network with more layers, skip buffers among them, than a mesh has nodes.

    ``most`` says, after a comma, what takes the most of them.
    """
    return PartitionError(
        name,
        f"needs at least {n_layers} cores, one for each layer and each stage that a skip "
        f"connection passes{most}; the largest mesh has {largest}",
        "let fewer layers be read far behind them: a layer that reads a concatenation reads each "
        "of its tensors, and each tensor is passed on stage by stage; without skip buffers none is",
    )


def _least_target(
    network: Network, costs: list[LayerCost], n_cores: int, spikes: dict[str, NDArray[np.float64]]
) -> float:
    """The least cycles of the busiest core for which ``n_cores`` suffice.

    Within 2**-14 of the cycles that the fewest cores would take; infinite where only the fewest
    tiles are few enough.
    """
    high = max(cost.cycles(tile) for cost in costs for tile in cost.tiles(np.inf))
    # No core can be faster than the host sends the image.
    connections = [c for layer in network.layers for c in layer.connections]
    low = float(spikes[INPUT].sum()) * sum(c.source == INPUT for c in connections)
    low = min(low, high)
    at_low = [cost.n_tiles(low) for cost in costs]
    if sum(at_low) <= n_cores:
        return low
    at_high = [cost.n_tiles(high) for cost in costs]
    if sum(at_high) > n_cores:
        # Cuts are chosen by bounds, which can exceed what the finished tiles take.
        return np.inf
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        # More time never takes more tiles, so where both ends take as many, the middle does.
        at_middle = [
            few if few == many else cost.n_tiles(middle)
            for cost, many, few in zip(costs, at_low, at_high, strict=True)
        ]
        if sum(at_middle) <= n_cores:
            high, at_high = middle, at_middle
        else:
            low, at_low = middle, at_middle
    return high


def check_coordinates(network: Network, params: ChipParams) -> None:
    """Raises unless packets can name every neuron, and cores can do what every layer asks."""
    for name in (INPUT, *(layer.name for layer in network.layers)):
        channels, height, width = network.population(name).shape
        lanes = params.lanes
        for what, need, bits in (
            ("channels (in whole blocks)", block_count(channels, lanes) * lanes, params.c_width),
            ("rows", height, params.y_width),
            ("columns", width, params.x_width),
        ):
            if need > 1 << bits:
                raise PartitionError(
                    name,
                    f"must have at most {1 << bits} {what}, has {need}",
                    preset_with(params, "wider coordinates"),
                )
    for layer in network.layers:
        # Known here already, long before tiles of the layers in front of it are looked for.
        if len(layer.connections) > params.n_axons:
            _raise_lack(
                layer.name,
                f"one block of {params.lanes} channels",
                "axon descriptors",
                (len(layer.connections), params.n_axons),
                params,
            )
        if layer.digits is not None and layer.digits.step % params.lanes:
            raise PartitionError(
                layer.name,
                f"digits must lie a multiple of {params.lanes} lanes apart, are "
                f"{layer.digits.step} channels apart",
                "split the network for this preset",
            )
        for connection in layer.connections:
            source = network.population(connection.source)
            shift = source.bits - 1 + connection.shift
            if not 0 <= shift < 1 << params.shift_width or connection.shift < 0:
                raise PartitionError(
                    layer.name,
                    f"shift of the connection from {connection.source} must be 0 to "
                    f"{(1 << params.shift_width) - source.bits} for {source.bits} time steps, "
                    f"got {connection.shift}",
                    "use fewer bits or a preset with a larger shift_width",
                )
        if not params.multipliers and (np.asarray(layer.multiplier) != 1).any():
            raise PartitionError(
                layer.name,
                "multipliers must be 1 on cores without multipliers, "
                f"got {int(np.max(layer.multiplier))}",
                "choose a preset with multipliers; the exact profile needs them only for averages "
                "of quantized models over a number of values that is no power of two",
            )


# What a tile needs, as sizes of a core.
_SIZES = {
    "axon descriptors": "n_axons",
    "weight words": "n_weight_words",
    "channel table entries": "n_table_c",
    "requantization blocks": "n_blocks",
    "accumulator words": "n_acc_words",
    "activation words": "n_fire_words",
    "update pass entries": "n_update",
    "row table entries": "n_table_y",
    "column table entries": "n_table_x",
}


def _raise_too_large(cost: LayerCost) -> None:
    """Names the resource that even the smallest tile exceeds."""
    lanes = cost.params.lanes
    blocks = [(block, block + 1) for block in range(cost.n_blocks)]
    findings = [
        *((f"one block of {lanes} channels", cost.block_needs(span)) for span in blocks),
        ("one position", cost.position_needs()),
    ]
    for what, needs in findings:
        for name, (need, has) in needs.items():
            if need > has:
                _raise_lack(cost.layer.name, what, name, (need, has), cost.params)
    raise AssertionError("a layer without tiles exceeds some resource")


def _raise_lack(
    layer: str, what: str, name: str, need_has: tuple[int, int], params: ChipParams
) -> NoReturn:
    need, has = need_has
    raise PartitionError(
        layer,
        f"{what} needs {need} {name}, a core has {has}",
        preset_with(params, "larger memories", _SIZES[name], least=need),
    )


def check_partition(network: Network, params: ChipParams, result: Partition) -> None:
    """Raises unless every neuron is computed once and every tile fits its core's words."""
    for index, layer in enumerate(network.layers):
        _, height, width = layer.out_shape
        count = np.zeros((block_count(layer.shape[0], params.lanes), height, width), dtype=int)
        for tile in result.tiles:
            if tile.layer != index:
                continue
            count[slice(*tile.blocks), slice(*tile.rows), slice(*tile.columns)] += 1
            if tile != make_tile(layer, index, tile.blocks, tile.rows, tile.columns):
                raise PartitionError(layer.name, f"{tile} does not have the positions it needs")
            for name, need, has in (
                ("accumulator words", tile.n_acc_words, params.n_acc_words),
                ("activation words", tile.n_fire_words, params.n_fire_words),
                ("requantization blocks", length(tile.blocks) * tile.n_digits, params.n_blocks),
            ):
                if need > has:
                    raise PartitionError(
                        layer.name, f"a tile needs {need} {name}, a core has {has}"
                    )
        if (count != 1).any():
            block, y, x = (int(i) for i in np.argwhere(count != 1)[0])
            raise PartitionError(
                layer.name,
                f"block {block} at ({y}, {x}) must be computed once, is computed "
                f"{count[block, y, x]} times",
            )
