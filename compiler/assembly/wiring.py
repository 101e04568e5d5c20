# SPDX-License-Identifier: Apache-2.0
"""Where every core sends its spikes and tokens, as runs of its destination table."""

from dataclasses import dataclass

from stemcore.golden.network.network import Network
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import HOST, Node, Rectangle

from ..errors import AssembleError
from ..mapping.connectivity import Connectivity, Tile, connect, members
from ..mapping.place import Placement
from ..mapping.rectangles import cover
from .destinations import Destinations, Run


@dataclass(frozen=True)
class Wiring:
    """Destinations of one core.

    Attributes
    ----------
    destinations : Destinations
        The table, which holds all runs below.
    words : tuple of Run
        For each activation word, in the order in which words fire.
    ends, credits : Run
        Of the core's END and CREDIT tokens.
    """

    destinations: Destinations
    words: tuple[Run, ...]
    ends: Run
    credits: Run


def wire(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    placement: Placement,
    connectivity: Connectivity | None = None,
) -> list[Wiring]:
    """Destinations of every core; ``DestinationsFullError`` where a table is too small.

    ``connectivity`` is that of the tiles, where it is known already.
    """
    connectivity = connectivity or connect(network, tiles, params.lanes)
    located = (*placement.nodes, HOST)
    wirings, output_layers = [], network.output_layers
    most = 1 << params.axon_width
    if len(output_layers) > most:
        raise AssembleError(
            network.name,
            f"the host must receive at most {most} layers, as many as axons have numbers; "
            f"these are {len(output_layers)}",
            "return fewer outputs",
        )
    for index, tile in enumerate(tiles):
        name, (x, y) = network.layers[tile.layer].name, located[index]
        runs = _spike_runs(connectivity, tile, connectivity.words[index], located)
        if name in output_layers:
            to_host = (*HOST, *HOST, output_layers.index(name))
            runs = {masks: (*run, to_host) for masks, run in runs.items()}
        ends = tuple((*r, 0) for r in rectangles(connectivity.destinations[index], located))
        credits = tuple((*r, 0) for r in rectangles(connectivity.sources(index), located))
        destinations = Destinations(f"{name} (core {x}, {y}) destinations", params)
        destinations.add_all([*runs.values(), ends, credits])
        words = tuple(runs[masks] for masks in connectivity.words[index])
        wirings.append(Wiring(destinations, words, ends, credits))
    return wirings


def _spike_runs(
    connectivity: Connectivity,
    tile: Tile,
    words: tuple[tuple[int, ...], ...],
    located: tuple[Node, ...],
) -> dict[tuple[int, ...], Run]:
    """Runs of a tile's spikes by what they reach: a set of tiles for each reader of the layer."""
    axons = [reader.axon for reader in connectivity.readers[tile.layer]]
    return {
        masks: tuple(
            (*rectangle, axon)
            for mask, axon in zip(masks, axons, strict=True)
            for rectangle in rectangles(mask, located)
        )
        for masks in dict.fromkeys(words)
    }


def rectangles(mask: int, located: tuple[Node, ...]) -> tuple[Rectangle, ...]:
    """Disjoint rectangles that cover the nodes of a set of tiles.

    ``located`` has the nodes of all tiles in their order, then the host's.
    """
    return cover(located[i] for i in members(mask))
