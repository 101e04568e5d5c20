# SPDX-License-Identifier: Apache-2.0
"""Nodes become a mesh: neighbours, edges, coordinates and the host's link."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth import Cat, Signal
from amaranth.lib import stream, wiring

from stemcore.golden.spec.routing import LINKS, STEPS, Node, Port, opposite

ENTRANCE: Node = (0, 1)  # the node whose north link is the host's


@dataclass(frozen=True)
class MeshEdge:
    """What a mesh leaves open.

    Attributes
    ----------
    i : stream.Interface
        Flits from the host: drive ``valid`` and ``payload``.
    o : stream.Interface
        Flits to the host: drive ``ready``.
    stray : Signal
        A flit is dropped at an edge where there is no neighbour: its rectangle reaches beyond the
        mesh. Nodes with straps ``edges`` count it as an error, so nothing is lost silently.
    """

    i: stream.Interface
    o: stream.Interface
    stray: Signal


def connect_mesh(m, nodes: Mapping[Node, wiring.Component]) -> MeshEdge:
    """Wires up ``nodes``, submodules of ``m`` already, and tells them where they are.

    m : Module
    nodes : mapping (x, y) -> component
        A full rectangle: columns 0 .. columns - 1, rows 1 .. rows. Each has straps ``x``, ``y``,
        ``edges`` if it tells of flits that leave the mesh, and the links ``i`` and ``o``, arrays of
        flit streams in the order North, East, South, West (further entries, such as a bare router's
        Local, are left alone).
    """
    columns = max((x for x, _ in nodes), default=-1) + 1
    rows = max((y for _, y in nodes), default=0)
    if not nodes or set(nodes) != {(x, y) for x in range(columns) for y in range(1, rows + 1)}:
        raise ValueError(
            f"nodes: must fill columns 0.. and rows 1.. of a rectangle, got {sorted(nodes)}"
        )
    strays = []
    for (x, y), node in nodes.items():
        for strap, value in ((node.x, x), (node.y, y)):
            if value >> len(strap):
                raise ValueError(f"node ({x}, {y}): must fit in {len(strap)} bits a coordinate")
            m.d.comb += strap.eq(value)
        edges = 0
        for port in LINKS:
            neighbour = nodes.get((x + STEPS[port][0], y + STEPS[port][1]))
            if neighbour is not None:
                wiring.connect(m, node.o[port], neighbour.i[opposite(port)])
            elif (x, y) != ENTRANCE or port != Port.NORTH:
                m.d.comb += [node.i[port].valid.eq(0), node.o[port].ready.eq(1)]
                strays.append(node.o[port].valid)
                edges |= 1 << port
        if "edges" in node.signature.members:
            m.d.comb += node.edges.eq(edges)
    stray = Signal(name="stray")
    m.d.comb += stray.eq(Cat(strays).any())
    entrance = nodes[ENTRANCE]
    return MeshEdge(entrance.i[Port.NORTH], entrance.o[Port.NORTH], stray)
