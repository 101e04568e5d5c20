# SPDX-License-Identifier: Apache-2.0
"""Routes through the mesh."""

import itertools

import pytest

from stemcore.golden.spec.routing import HOST, Port, next_ports, opposite, tree

COLUMNS, ROWS = 4, 3
NODES = [(x, y) for x in range(COLUMNS) for y in range(1, ROWS + 1)]
RECTANGLES = [
    (x0, y0, x1, y1)
    for x0, x1 in itertools.combinations_with_replacement(range(COLUMNS), 2)
    for y0, y1 in itertools.combinations_with_replacement(range(1, ROWS + 1), 2)
]


@pytest.mark.parametrize("source", [HOST, *NODES])
def test_tree_reaches_exactly_the_rectangle_by_shortest_paths(source):
    for rectangle in RECTANGLES:
        x0, y0, x1, y1 = rectangle
        got = tree(source, rectangle)
        inside = {(x, y) for x, y in NODES if x0 <= x <= x1 and y0 <= y <= y1}
        assert set(got.hops) == inside
        for (x, y), hops in got.hops.items():
            distance = abs(x - source[0]) + abs(y - source[1])
            assert hops == distance + (source != HOST)
        assert len(set(got.links)) == len(got.links)
        # A tree: every node that a link leads to is led to once.
        heads = [there for _, there in got.links]
        assert len(set(heads)) == len(heads)
        assert all(0 <= x < COLUMNS and 1 <= y <= ROWS for x, y in heads)


@pytest.mark.parametrize("source", NODES)
def test_tree_to_the_host_passes_its_entrance(source):
    got = tree(source, (*HOST, *HOST))
    x, y = source
    assert got.hops == {HOST: x + y}
    assert got.links[-1] == ((0, 1), HOST)
    assert len(got.links) == x + y


def test_tree_of_a_row_shares_its_trunk():
    assert tree((0, 1), (2, 1, 3, 1)).links == (
        ((0, 1), (1, 1)),
        ((1, 1), (2, 1)),
        ((2, 1), (3, 1)),
    )


def test_next_ports_never_turn_back():
    for (x, y), rectangle, port in itertools.product(NODES, RECTANGLES, Port):
        if port != Port.LOCAL:
            assert port not in next_ports(x, y, port, rectangle)


@pytest.mark.parametrize("port", [Port.NORTH, Port.SOUTH])
def test_next_ports_stay_in_the_column(port):
    for (x, y), rectangle in itertools.product(NODES, RECTANGLES):
        if port == Port.SOUTH or y != 1:
            assert next_ports(x, y, port, rectangle) <= {opposite(port), Port.LOCAL}


@pytest.mark.parametrize(
    ("source", "rectangle", "message"),
    [
        ((0, 1), (2, 1, 1, 1), r"^rectangle: must have 0 <= x0 <= x1 and 0 <= y0 <= y1, got"),
        ((0, 1), (0, 0, 1, 1), r"^rectangle: only \(0, 0, 0, 0\) may reach into row 0, got"),
        (HOST, (0, 0, 0, 0), r"^source: the host cannot send to itself$"),
        ((1, 0), (0, 1, 0, 1), r"^source: must be the host or have x >= 0 and y >= 1, got"),
    ],
)
def test_tree_refuses(source, rectangle, message):
    with pytest.raises(ValueError, match=message):
        tree(source, rectangle)
