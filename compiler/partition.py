# SPDX-License-Identifier: Apache-2.0
"""Cuts every layer into tiles, one tile a core, so that the busiest core has the least to do."""

from dataclasses import dataclass

import numpy as np

from golden.network import INPUT, Network
from golden.params import ChipParams

from .activity import Activity, spike_maps
from .connectivity import Tile, block_count, length, make_tile
from .errors import PartitionError
from .tiling import LayerCost, Tiling


@dataclass(frozen=True)
class Partition:
    """Tiles layer by layer, and the predicted cycles per image of each layer's busiest tile."""

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
    """Tiles for at most ``n_cores`` cores; as few cores as will do where that is None.

    Afterwards every neuron is computed by one tile (:func:`check_partition`), every tile fits the
    memories that do not depend on placement, and no other assignment of the considered tilings
    has a less busy busiest core; among those, each layer takes the fewest cores, then the least
    duplicated spikes.
    """
    check_coordinates(network, params)
    spikes = spike_maps(network, activity)
    costs = [LayerCost(network, i, params, spikes) for i in range(len(network.layers))]
    largest = params.max_columns * params.max_rows
    budget = largest if n_cores is None else n_cores
    options = [_options(cost, budget - len(costs) + 1, n_cores is None) for cost in costs]
    if any(not found for found in options) or _total(options, np.inf) > budget:
        _raise_too_few(network, costs, budget, largest)

    if n_cores is None:
        chosen = [min(found, key=lambda t: (t.n_tiles, t.cycles)) for found in options]
        return Partition(_tiles(network, chosen), tuple(t.cycles for t in chosen))
    # No core can be faster than the host sends the image.
    connections = [c for layer in network.layers for c in layer.connections]
    floor = float(spikes[INPUT].sum()) * sum(c.source == INPUT for c in connections)
    target = _least_target(options, floor, budget)
    chosen = []
    for cost, found in zip(costs, options, strict=True):
        n_tiles = _fewest(found, target)
        finalists = [t for t in found if t.n_tiles == n_tiles and t.cycles <= target]
        ranked = [(cost.traffic(t), t.cycles, i) for i, t in enumerate(finalists)]
        chosen.append(finalists[min(ranked)[2]])
    return Partition(_tiles(network, chosen), tuple(t.cycles for t in chosen))


def _least_target(options: list[list[Tiling]], floor: float, budget: int) -> float:
    """The smallest cycles of a busiest core that the budget allows."""
    targets = sorted({max(floor, tiling.cycles) for found in options for tiling in found})
    low, high = 0, len(targets) - 1
    while low < high:
        middle = (low + high) // 2
        if _total(options, targets[middle]) <= budget:
            high = middle
        else:
            low = middle + 1
    return targets[low]


def _tiles(network: Network, chosen: list[Tiling]) -> tuple[Tile, ...]:
    return tuple(
        tile
        for index, tiling in enumerate(chosen)
        for tile in tiling.tiles(network.layers[index], index)
    )


def _options(cost: LayerCost, max_tiles: int, smallest_only: bool) -> list[Tiling]:
    if not smallest_only:
        return list(cost.tilings(max_tiles))
    # Few tiles mostly do: look at small numbers first.
    limit = 1
    while True:
        found = list(cost.tilings(min(limit, max_tiles)))
        if found or limit >= max_tiles:
            return found
        limit *= 2


def _fewest(found: list[Tiling], target: float) -> float:
    return min((t.n_tiles for t in found if t.cycles <= target), default=np.inf)


def _total(options: list[list[Tiling]], target: float) -> float:
    return sum(_fewest(found, target) for found in options)


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
                    "choose a preset with wider coordinates or a smaller layer",
                )
    for layer in network.layers:
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
                "lower with the exact profile or choose a preset with multipliers",
            )


def _raise_too_few(network: Network, costs: list[LayerCost], budget: int, largest: int) -> None:
    """Names the layer and the resource, or the number of cores, that stands in the way."""
    needed = 0
    for cost in costs:
        layer = cost.layer
        smallest = _options(cost, largest, True)
        if not smallest:
            _raise_too_large(cost)
            raise PartitionError(
                layer.name,
                f"must fit in {largest} cores, the largest mesh, and does not",
                "choose a preset with larger memories or a smaller layer",
            )
        needed += min(t.n_tiles for t in smallest)
    raise PartitionError(
        network.name,
        f"needs at least {needed} cores, has {budget}",
        "give more cores, a larger mesh or a preset with larger memories",
    )


def _raise_too_large(cost: LayerCost) -> None:
    lanes = cost.params.lanes
    for block in range(cost.n_blocks):
        needs = cost.block_needs((block, block + 1))
        for name, (need, has) in needs.items():
            if need > has:
                raise PartitionError(
                    cost.layer.name,
                    f"one block of {lanes} channels needs {need} {name}, a core has {has}",
                    "choose a preset with larger memories or fewer source channels",
                )
    for row in range(cost.axes[0].size):
        for column in range(cost.axes[1].size):
            at = cost.position_needs(1, (row, row + 1), (column, column + 1))
            for name, (need, has) in at.items():
                if need > has:
                    raise PartitionError(
                        cost.layer.name,
                        f"one position needs {need} {name}, a core has {has}",
                        "choose a preset with larger memories or a smaller kernel",
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
                ("requantization blocks", length(tile.blocks), params.n_blocks),
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
