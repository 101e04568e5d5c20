# SPDX-License-Identifier: Apache-2.0
"""Puts tiles on the nodes of the mesh, so that spikes take few packets and few links.

Tiles in order follow a boustrophedon through strips of the mesh; the best strip width is then
improved by exchanging pairs of nodes, a bounded number of times, with a fixed seed.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isqrt

import numpy as np

from golden.network import INPUT, Network
from golden.params import ChipParams
from golden.program import HOST

from .activity import Activity, spike_maps
from .connectivity import Connectivity, Tile, connect, members
from .errors import PlacementError
from .rectangles import Node, cover, link_count

PACKET_COST = 4  # links that one more packet for the same spike is worth
MAX_TRIALS = 4000  # exchanges tried, but no more than ten for each pair of nodes
MAX_EVALUATIONS = 120_000  # terms of the cost evaluated in all trials


@dataclass(frozen=True)
class Placement:
    """Nodes (column, row) of the tiles, in the order of the tiles.

    ``cost`` is the expected number of link traversals per image, with ``PACKET_COST`` for every
    packet.
    """

    columns: int
    rows: int
    nodes: tuple[Node, ...]
    cost: float


@dataclass(frozen=True)
class Flow:
    """Expected spikes per image from a tile (or the host) to a set of tiles."""

    source: int
    targets: int
    spikes: float


def mesh_for(n_cores: int, params: ChipParams) -> tuple[int, int]:
    """Columns and rows of the smallest near-square mesh with ``n_cores`` nodes."""
    columns = min(params.max_columns, max(1, isqrt(n_cores)))
    if columns < params.max_columns and columns * columns < n_cores:
        columns += 1
    rows = -(-n_cores // columns)
    if rows > params.max_rows:
        columns = min(params.max_columns, -(-n_cores // params.max_rows))
        rows = -(-n_cores // columns)
    if rows > params.max_rows:
        raise PlacementError(
            "mesh",
            f"must have at most {params.max_columns} x {params.max_rows} nodes, "
            f"{n_cores} cores are wanted",
            "use fewer cores or a preset with a larger coord_width",
        )
    return columns, rows


def place(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    columns: int,
    rows: int,
    activity: Activity | None = None,
) -> Placement:
    """A node for every tile; different nodes for different tiles (:func:`check_placement`)."""
    check_mesh(params, columns, rows)
    if len(tiles) > columns * rows:
        raise PlacementError(
            network.name,
            f"{len(tiles)} cores must fit in {columns} x {rows} nodes",
            "choose a larger mesh",
        )
    flows = list_flows(network, params, tiles, connect(network, tiles, params.lanes), activity)
    best: list[Node] = []
    best_cost = inf
    for path in _paths(columns, rows):
        costs = _flow_costs(flows, path[: len(tiles)])
        if sum(costs) < best_cost:
            best, best_cost = path, sum(costs)
    nodes = _exchange(flows, best, len(tiles))
    return Placement(columns, rows, tuple(nodes), float(sum(_flow_costs(flows, nodes))))


def list_flows(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    connectivity: Connectivity,
    activity: Activity | None = None,
) -> list[Flow]:
    """Expected spikes between tiles, one flow for each source and set of targets."""
    spikes = spike_maps(network, activity)
    total: defaultdict[tuple[int, int], float] = defaultdict(float)
    host = len(tiles)
    for index, tile in enumerate(tiles):
        layer = network.layers[tile.layer]
        fired = spikes[layer.name]
        start, stop = tile.blocks[0] * params.lanes, tile.blocks[1] * params.lanes
        padded = np.zeros((stop - start, *fired.shape[1:]))
        padded[: len(fired[start:stop])] = fired[start:stop]
        blocks = padded.reshape(tile.n_blocks, params.lanes, *fired.shape[1:]).sum(axis=1)
        y, x, block = connectivity.coordinates[index].T
        words = blocks[block - tile.blocks[0], y, x]
        for targets, count in zip(connectivity.words[index], words, strict=True):
            for mask in targets:
                total[index, mask] += float(count)
        if tile.layer == len(network.layers) - 1:
            total[index, 1 << host] += float(words.sum())
    sent = spikes[INPUT].sum(axis=0)
    for reader in connectivity.readers[-1]:
        for y, row in enumerate(reader.rows):
            for x, column in enumerate(reader.columns):
                total[host, row & column] += float(sent[y, x])
    return [Flow(s, mask, n) for (s, mask), n in total.items() if mask]


def _paths(columns: int, rows: int) -> Iterator[list[Node]]:
    """Boustrophedons through vertical and horizontal strips of every width."""
    for width in range(1, columns + 1):
        yield [(x, y + 1) for x, y in _strips(columns, rows, width)]
    for width in range(1, rows + 1):
        yield [(x, y + 1) for y, x in _strips(rows, columns, width)]


def _strips(columns: int, rows: int, width: int) -> Iterator[Node]:
    downward = True
    for left in range(0, columns, width):
        strip = range(left, min(left + width, columns))
        rightward = True
        for y in range(rows) if downward else reversed(range(rows)):
            yield from ((x, y) for x in (strip if rightward else reversed(strip)))
            rightward = not rightward
        downward = not downward


class _Costs:
    """Cost of flows for given nodes; covers are remembered."""

    def __init__(self) -> None:
        self._covers: dict[frozenset[Node], tuple[tuple[int, int, int, int], ...]] = {}

    def flow(self, flow: Flow, targets: list[int], nodes: list[Node]) -> float:
        """``spikes * (links + PACKET_COST * packets)``; ``nodes`` ends with the host's."""
        wanted = frozenset([nodes[i] for i in targets])
        rectangles = self._covers.get(wanted)
        if rectangles is None:
            rectangles = self._covers[wanted] = cover(wanted)
        source = nodes[flow.source]
        return flow.spikes * sum(PACKET_COST + link_count(source, r) for r in rectangles)


def _flow_costs(flows: list[Flow], nodes: list[Node]) -> list[float]:
    costs = _Costs()
    located = [*nodes, HOST]
    return [costs.flow(flow, list(members(flow.targets)), located) for flow in flows]


def _exchange(flows: list[Flow], path: list[Node], n_tiles: int) -> list[Node]:
    """Nodes of the tiles after exchanging pairs wherever that lowers the cost."""
    rng = np.random.default_rng(0)
    costs = _Costs()
    # Free nodes come after the tiles, the host last; both take part in no flow or no exchange.
    located = [*path, HOST]
    host = len(path)
    renamed = [Flow(host if f.source == n_tiles else f.source, f.targets, f.spikes) for f in flows]
    targets = [[host if i == n_tiles else i for i in members(flow.targets)] for flow in flows]
    touching: list[set[int]] = [set() for _ in located]
    for index, flow in enumerate(renamed):
        for tile in (flow.source, *targets[index]):
            touching[tile].add(index)
    current = [costs.flow(f, t, located) for f, t in zip(renamed, targets, strict=True)]
    evaluated = 0
    for _ in range(min(MAX_TRIALS, 5 * len(path) * (len(path) - 1))):
        a, b = (int(i) for i in rng.choice(len(path), 2, replace=False))
        affected = sorted(touching[a] | touching[b])
        evaluated += len(affected)
        if evaluated > MAX_EVALUATIONS:
            break
        located[a], located[b] = located[b], located[a]
        changed = [costs.flow(renamed[i], targets[i], located) for i in affected]
        if sum(changed) < sum(current[i] for i in affected) * (1 - 1e-9):
            for i, cost in zip(affected, changed, strict=True):
                current[i] = cost
        else:
            located[a], located[b] = located[b], located[a]
    return located[:n_tiles]


def check_mesh(params: ChipParams, columns: int, rows: int) -> None:
    """Raises unless packets can address every node."""
    if not (1 <= columns <= params.max_columns and 1 <= rows <= params.max_rows):
        raise PlacementError(
            "mesh",
            f"must have 1 to {params.max_columns} columns and 1 to {params.max_rows} rows, "
            f"got {columns} x {rows}",
            "choose a smaller mesh or a preset with a larger coord_width",
        )


def check_placement(tiles: tuple[Tile, ...], placement: Placement) -> None:
    """Raises unless every tile has a node of its own inside the mesh."""
    if len(placement.nodes) != len(tiles) or len(set(placement.nodes)) != len(tiles):
        raise PlacementError(
            "placement",
            f"{len(tiles)} tiles must have as many nodes, got {len(set(placement.nodes))}",
        )
    for x, y in placement.nodes:
        if not (0 <= x < placement.columns and 1 <= y <= placement.rows):
            raise PlacementError("placement", f"node ({x}, {y}) lies outside the mesh")
