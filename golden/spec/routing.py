# SPDX-License-Identifier: Apache-2.0
"""Routes of flits through the mesh: the rule that every router follows, as plain Python.

Node (x, y): x from 0, y from 1; North is y - 1, East is x + 1. The host sits at (0, 0), beyond the
north link of node (0, 1), and nothing else is in row 0. A flit goes to a rectangle of nodes
``x0..x1`` by ``y0..y1``, both ends included, first along its row, then along the columns of the
rectangle: a tree in which every node lies on one path. Standard library only.
"""

from dataclasses import dataclass
from enum import IntEnum

Node = tuple[int, int]  # column x, row y
Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1: columns and rows, both ends included

HOST: Node = (0, 0)


class Port(IntEnum):
    """Ports of a router, as they are numbered in hardware."""

    NORTH = 0
    EAST = 1
    SOUTH = 2
    WEST = 3
    LOCAL = 4


LINKS = (Port.NORTH, Port.EAST, Port.SOUTH, Port.WEST)  # those with a link to another node
STEPS = {Port.NORTH: (0, -1), Port.EAST: (1, 0), Port.SOUTH: (0, 1), Port.WEST: (-1, 0)}


def opposite(port: Port) -> Port:
    """The port at the other end of the link of ``port``."""
    return Port((port + 2) % 4)


def next_ports(x: int, y: int, arrived_from: Port, rectangle: Rectangle) -> set[Port]:
    """Ports through which node (x, y) passes on a flit that came in through ``arrived_from``.

    In its row phase (from Local, East, West; from North in row 1, where only the host is) a flit
    goes on along the row, away from where it came, while the rectangle reaches further, and
    branches North, South and Local in the columns of the rectangle. In its column phase (from
    North elsewhere, from South) it goes on while the rectangle reaches further, and Local in the
    rows of the rectangle. It never leaves through the link it came by: the host does not get its
    own flits. The empty set (an inverted rectangle; the host to itself) means that the flit ends.
    """
    x0, y0, x1, y1 = rectangle
    ports = set()
    if arrived_from == Port.SOUTH or (arrived_from == Port.NORTH and y != 1):
        onward = opposite(arrived_from)
        if (y0 < y) if onward == Port.NORTH else (y1 > y):
            ports.add(onward)
        if y0 <= y <= y1:
            ports.add(Port.LOCAL)
        return ports
    if x1 > x:
        ports.add(Port.EAST)
    if x0 < x:
        ports.add(Port.WEST)
    if x0 <= x <= x1:
        if y0 < y:
            ports.add(Port.NORTH)
        if y1 > y:
            ports.add(Port.SOUTH)
        if y0 <= y <= y1:
            ports.add(Port.LOCAL)
    if arrived_from != Port.LOCAL:
        ports.discard(arrived_from)
    return ports


@dataclass(frozen=True)
class Tree:
    """How one flit spreads.

    Attributes
    ----------
    hops : dict[Node, int]
        For each node that is given the flit, and the host if it is, the routers on its path.
    links : tuple[tuple[Node, Node], ...]
        Links crossed, each as (from, to), in the order of a search from the source; those between
        the host and node (0, 1) count too.
    """

    hops: dict[Node, int]
    links: tuple[tuple[Node, Node], ...]


def tree(source: Node, rectangle: Rectangle) -> Tree:
    """Follows one flit from the core of ``source``, or from the host, to all its ends.

    Raises ``ValueError`` for an inverted rectangle, one that holds the host and any other node
    (row 0 is the host's alone), or one that would bring the host's own flit back to it.
    """
    x0, y0, x1, y1 = rectangle
    if not (0 <= x0 <= x1 and 0 <= y0 <= y1):
        raise ValueError(f"rectangle: must have 0 <= x0 <= x1 and 0 <= y0 <= y1, got {rectangle}")
    if y0 == 0 and rectangle != (*HOST, *HOST):
        raise ValueError(f"rectangle: only (0, 0, 0, 0) may reach into row 0, got {rectangle}")
    if source == HOST and rectangle == (*HOST, *HOST):
        raise ValueError("source: the host cannot send to itself")
    if source != HOST and (source[0] < 0 or source[1] < 1):
        raise ValueError(f"source: must be the host or have x >= 0 and y >= 1, got {source}")
    hops: dict[Node, int] = {}
    links = []
    if source == HOST:
        links.append((HOST, (0, 1)))
        front = [((0, 1), Port.NORTH, 1)]
    else:
        front = [(source, Port.LOCAL, 1)]
    for node, arrived_from, n_hops in front:
        for port in sorted(next_ports(*node, arrived_from, rectangle)):
            if port == Port.LOCAL:
                hops[node] = n_hops
                continue
            step = STEPS[port]
            there = (node[0] + step[0], node[1] + step[1])
            links.append((node, there))
            if there == HOST:
                hops[HOST] = n_hops
            else:
                front.append((there, opposite(port), n_hops + 1))
    return Tree(hops, tuple(links))
