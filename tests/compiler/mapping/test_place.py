# SPDX-License-Identifier: Apache-2.0
"""Placement: legal, deterministic, better than chance; rectangles cover exactly."""

import dataclasses

import numpy as np
import pytest

from stemcore.compiler.errors import PlacementError
from stemcore.compiler.mapping.connectivity import connect
from stemcore.compiler.mapping.partition import partition
from stemcore.compiler.mapping.place import (
    PACKET_COST,
    SHARING_COST,
    Flow,
    Placement,
    Traffic,
    check_placement,
    list_flows,
    mesh_for,
    place,
)
from stemcore.compiler.mapping.rectangles import cover, links_of, nodes_of
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import HOST, tree
from tests.support.chains import chain
from tests.support.random_networks import random_network

TINY = get_preset("tiny")
SPANS = ((0, 0), (1, 1), (1, 2), (0, 3), (2, 4), (4, 4))
NETWORK = chain((3, 16, 16), 8, "M", 16, "M", ("dense", 10))


def test_cover_is_exact_and_disjoint(rng):
    for _ in range(300):
        grid = rng.random((int(rng.integers(1, 7)), int(rng.integers(1, 7)))) < rng.random()
        nodes = [(int(x), int(y) + 1) for x, y in np.argwhere(grid)]
        covered = [node for rectangle in cover(nodes) for node in nodes_of(rectangle)]
        assert sorted(covered) == sorted(nodes)


@pytest.mark.parametrize(
    ("nodes", "n_rectangles"),
    [
        ([(x, y) for x in range(3) for y in range(1, 4)], 1),
        ([(0, 1), (0, 2), (0, 3), (1, 3)], 2),
        ([(0, 1), (2, 1)], 2),
        ([(1, 1), (0, 2), (1, 2), (2, 2), (1, 3)], 3),
        ([HOST, (0, 1), (0, 2)], 2),
    ],
)
def test_cover_takes_few_rectangles(nodes, n_rectangles):
    assert len(cover(nodes)) == n_rectangles


def test_cover_keeps_the_host_apart():
    assert cover([(0, 1), HOST, (0, 2)]) == ((0, 0, 0, 0), (0, 1, 0, 2))


def test_links_are_those_of_the_routers():
    rectangles = [(x0, y0, x1, y1) for x0, x1 in SPANS for y0, y1 in SPANS if y0]
    for source in [HOST, *((x, y) for x in range(4) for y in range(1, 5))]:
        for rectangle in rectangles:
            expected = tree(source, rectangle).links
            assert sorted(links_of(source, rectangle)) == sorted(expected)
    assert sorted(links_of((2, 3), (*HOST, *HOST))) == sorted(tree((2, 3), (*HOST, *HOST)).links)


@pytest.mark.medium
def test_random_placements_are_legal(rng):
    for _ in range(10):
        network = random_network(rng)
        tiles = partition(network, TINY, 9).tiles
        check_placement(tiles, place(network, TINY, tiles, 3, 3))


@pytest.mark.slow
def test_placement_beats_chance(rng):
    tiles = partition(NETWORK, TINY, 30).tiles
    placement = place(NETWORK, TINY, tiles, 6, 5)
    flows = list_flows(NETWORK, TINY, tiles, connect(NETWORK, tiles, TINY.lanes))
    nodes = [(x, y + 1) for x in range(6) for y in range(5)]
    order = [[nodes[i] for i in rng.permutation(30)[: len(tiles)]] for _ in range(10)]
    costs = [Traffic(flows, [*chosen, HOST]).cost for chosen in order]
    assert placement.cost < 0.6 * min(costs)


def test_cost_counts_packets_links_and_sharing():
    """Tiles at (0, 1), (1, 1), (2, 1); the host at their left, above (0, 1)."""
    nodes = [(0, 1), (1, 1), (2, 1), HOST]
    long, short = Flow(0, 0, 0b100, 3.0), Flow(1, 1, 0b100, 5.0)
    assert Traffic([long], nodes).cost == 3 * (PACKET_COST + 2)
    assert Traffic([short], nodes).cost == 5 * (PACKET_COST + 1)
    both = 3 * (PACKET_COST + 2) + 5 * (PACKET_COST + 1) + SHARING_COST * 3
    assert Traffic([long, short], nodes).cost == both
    to_host_and_tile = Flow(0, 2, 0b1001, 1.0)
    assert Traffic([to_host_and_tile], nodes).cost == 2 * PACKET_COST + 2 + 3


@pytest.mark.medium
def test_exchanges_keep_the_cost_exact(rng):
    tiles = partition(NETWORK, TINY, 16).tiles
    flows = list_flows(NETWORK, TINY, tiles, connect(NETWORK, tiles, TINY.lanes))
    nodes = [(x, y + 1) for x in range(4) for y in range(4)][: len(tiles)]
    traffic = Traffic(flows, [*nodes, HOST])
    for _ in range(100):
        before = traffic.cost
        traffic.exchange(*(int(i) for i in rng.choice(len(tiles), 2, replace=False)))
        assert traffic.cost <= before
        assert traffic.cost == Traffic(flows, traffic.nodes).cost


@pytest.mark.medium
def test_placement_is_deterministic():
    tiles = partition(NETWORK, TINY, 20).tiles
    assert place(NETWORK, TINY, tiles, 5, 4) == place(NETWORK, TINY, tiles, 5, 4)


@pytest.mark.parametrize(
    ("n_cores", "mesh"), [(1, (1, 1)), (2, (2, 1)), (5, (3, 2)), (9, (3, 3)), (50, (8, 7))]
)
def test_mesh_is_near_square(n_cores, mesh):
    assert mesh_for(n_cores, TINY) == mesh


def test_mesh_for_too_many_cores_is_refused():
    match = (
        r"^mesh: must have at most 8 x 7 nodes, 57 cores are wanted; use fewer cores or a preset"
    )
    with pytest.raises(PlacementError, match=match):
        mesh_for(57, TINY)


def test_more_tiles_than_nodes_are_refused():
    tiles = partition(NETWORK, TINY, 20).tiles
    match = rf"^chain: {len(tiles)} cores must fit in 2 x 2 nodes; choose a larger mesh$"
    with pytest.raises(PlacementError, match=match):
        place(NETWORK, TINY, tiles, 2, 2)


@pytest.mark.medium
def test_check_finds_two_tiles_on_one_node_and_nodes_outside():
    tiles = partition(NETWORK, TINY, 20).tiles
    good = place(NETWORK, TINY, tiles, 5, 4)
    doubled = dataclasses.replace(good, nodes=(good.nodes[1], *good.nodes[1:]))
    with pytest.raises(PlacementError, match=r"^placement: \d+ tiles must have as many nodes, got"):
        check_placement(tiles, doubled)
    with pytest.raises(PlacementError, match=r"^placement: node \(\d, \d\) lies outside the mesh$"):
        check_placement(tiles, Placement(1, 1, good.nodes, good.cost))
