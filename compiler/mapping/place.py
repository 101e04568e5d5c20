# SPDX-License-Identifier: Apache-2.0
"""Places tiles on the nodes of the mesh, so that spikes need few packets and few links.

Tiles in order follow a boustrophedon through strips of the mesh; the best strip width is then
improved by exchanging pairs of nodes, a bounded number of times, with a fixed seed.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import HOST, Node

from ..activity import Activity, spike_maps
from ..errors import PlacementError
from .connectivity import Connectivity, Tile, connect, members
from .rectangles import Link, cover, links_of
from .work import block_spikes

PACKET_COST = 4  # links that one more packet for the same spike is worth
SHARING_COST = 16  # links that a link is worth which spikes of another layer's flow use too
MAX_TRIALS = 4000  # exchanges tried, but no more than ten for each pair of nodes
MAX_EVALUATIONS = 60_000  # terms of the cost evaluated in all trials


@dataclass(frozen=True)
class Placement:
    """Nodes (column, row) of the tiles, in the order of the tiles.

    ``cost`` is that of :class:`Traffic`.
    """

    columns: int
    rows: int
    nodes: tuple[Node, ...]
    cost: float


@dataclass(frozen=True)
class Flow:
    """Expected spikes per image from a tile (or the host) of a layer to a set of tiles."""

    layer: int
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
    return next(placements(network, params, tiles, columns, rows, activity))


def placements(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    columns: int,
    rows: int,
    activity: Activity | None = None,
) -> Iterator[Placement]:
    """The best placement that is found, then others, which may need fewer destinations.

    The first is improved by exchanges. These lower the cost of all spikes together, and may tear
    the targets of one core apart. The others are the boustrophedons as they are, the cheapest ones
    first.
    """
    check_mesh(params, columns, rows)
    if len(tiles) > columns * rows:
        raise PlacementError(
            network.name,
            f"{len(tiles)} cores must fit in {columns} x {rows} nodes",
            "choose a larger mesh",
        )
    flows = list_flows(network, params, tiles, connect(network, tiles, params.lanes), activity)
    paths = list(_paths(columns, rows))
    costs = [Traffic(flows, [*path[: len(tiles)], HOST]).cost for path in paths]
    ranked = sorted(range(len(paths)), key=costs.__getitem__)
    nodes = _exchange(flows, paths[ranked[0]], len(tiles))
    yield Placement(columns, rows, tuple(nodes), Traffic(flows, [*nodes, HOST]).cost)
    for rank in ranked:
        yield Placement(columns, rows, tuple(paths[rank][: len(tiles)]), costs[rank])


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
    fired: dict[str, NDArray[np.float64]] = {}
    for index, tile in enumerate(tiles):
        layer = network.layers[tile.layer]
        if layer.name not in fired:
            fired[layer.name] = block_spikes(spikes[layer.name], params.lanes)
        y, x, block = connectivity.coordinates[index].T
        words = fired[layer.name][block, y, x]
        for targets, count in zip(connectivity.words[index], words, strict=True):
            for mask in targets:
                total[index, mask] += float(count)
        if layer.name in network.output_layers:
            total[index, 1 << host] += float(words.sum())
    sent = spikes[INPUT].sum(axis=0)
    for reader in connectivity.readers[-1]:
        for y, row in enumerate(reader.rows):
            for x, column in enumerate(reader.columns):
                total[host, row & column] += float(sent[y, x])
    layers = [*(tile.layer for tile in tiles), -1]
    return [Flow(layers[s], s, mask, n) for (s, mask), n in total.items() if mask]


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


@dataclass(frozen=True)
class _Route:
    """Route of a flow: packets for each spike, and the links that these cross."""

    n_packets: int
    links: tuple[Link, ...]


class Traffic:
    """Flows on the links of a mesh, and what they cost, for nodes that change.

    The cost is ``spikes * (links + PACKET_COST * packets)`` over all flows, and ``SHARING_COST``
    for every spike on a link that another layer uses more: a spike that waits for its core keeps
    those behind it waiting, and layers that share no link keep out of each other's way.

    Parameters
    ----------
    flows : list of Flow
    nodes : list of Node
        Of the tiles and perhaps free ones; the host's comes last.
    """

    def __init__(self, flows: list[Flow], nodes: list[Node]) -> None:
        self.nodes = list(nodes)
        self._flows = flows
        self._targets = [list(members(flow.targets)) for flow in flows]
        self._routes: dict[tuple[Node, frozenset[Node]], _Route] = {}
        self._load: dict[Link, dict[int, int]] = {}
        self._touching: list[set[int]] = [set() for _ in nodes]
        for index, flow in enumerate(flows):
            for tile in (flow.source, *self._targets[index]):
                self._touching[tile].add(index)
        # Whole numbers, so that what is added can be taken away again exactly.
        self._spikes = [max(1, round(16 * flow.spikes)) for flow in flows]
        self._taken = [self._route(index) for index in range(len(flows))]
        for index in range(len(flows)):
            self._add(index, 1)

    def _route(self, index: int) -> _Route:
        source = self.nodes[self._flows[index].source]
        wanted = frozenset([self.nodes[i] for i in self._targets[index]])
        route = self._routes.get((source, wanted))
        if route is None:
            rectangles = cover(wanted)
            links = [link for r in rectangles for link in links_of(source, r)]
            route = self._routes[source, wanted] = _Route(len(rectangles), tuple(links))
        return route

    def _add(self, index: int, sign: int) -> None:
        layer, spikes = self._flows[index].layer, sign * self._spikes[index]
        for link in self._taken[index].links:
            load = self._load.setdefault(link, {})
            load[layer] = load.get(layer, 0) + spikes

    def _flow_cost(self, index: int) -> int:
        route = self._taken[index]
        return self._spikes[index] * (PACKET_COST * route.n_packets + len(route.links))

    def _shared(self, links: "set[Link] | dict[Link, dict[int, int]]") -> int:
        loads = [self._load[link].values() for link in links if link in self._load]
        return SHARING_COST * sum(sum(load) - max(load) for load in loads if len(load) > 1)

    @property
    def cost(self) -> float:
        """Of all flows."""
        flows = sum(self._flow_cost(index) for index in range(len(self._flows)))
        return (flows + self._shared(self._load)) / 16

    def exchange(self, a: int, b: int) -> int:
        """Exchanges the nodes of two tiles if that lowers the cost.

        Returns the number of flows whose cost was evaluated.
        """
        affected = sorted(self._touching[a] | self._touching[b])
        before = {index: self._taken[index] for index in affected}
        self.nodes[a], self.nodes[b] = self.nodes[b], self.nodes[a]
        after = {index: self._route(index) for index in affected}
        links = {link for index in affected for r in (before, after) for link in r[index].links}
        old = self._shared(links) + sum(map(self._flow_cost, affected))
        self._move(after)
        if self._shared(links) + sum(map(self._flow_cost, affected)) >= old:
            self.nodes[a], self.nodes[b] = self.nodes[b], self.nodes[a]
            self._move(before)
        return len(affected)

    def _move(self, routes: dict[int, _Route]) -> None:
        for index, route in routes.items():
            self._add(index, -1)
            self._taken[index] = route
            self._add(index, 1)


def _exchange(flows: list[Flow], path: list[Node], n_tiles: int) -> list[Node]:
    """Nodes of the tiles after exchanging pairs wherever that lowers the cost."""
    rng = np.random.default_rng(0)
    # Free nodes come after the tiles, the host last.
    host = len(path)

    def rename(flow: Flow) -> Flow:
        targets = flow.targets & ~(1 << n_tiles) | (flow.targets >> n_tiles & 1) << host
        source = host if flow.source == n_tiles else flow.source
        return replace(flow, source=source, targets=targets)

    traffic = Traffic([rename(flow) for flow in flows], [*path, HOST])
    evaluated = 0
    for _ in range(min(MAX_TRIALS, 5 * len(path) * (len(path) - 1))):
        a, b = (int(i) for i in rng.choice(len(path), 2, replace=False))
        evaluated += traffic.exchange(a, b)
        if evaluated > MAX_EVALUATIONS:
            break
    return traffic.nodes[:n_tiles]


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
