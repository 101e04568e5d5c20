# SPDX-License-Identifier: Apache-2.0
"""A chip as one Amaranth design, for Amaranth's own simulator."""

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.params import ChipParams

from .layouts import flit_stream
from .noc.mesh import connect_mesh
from .node import Node


class Chip(wiring.Component):
    """``columns`` x ``rows`` nodes; node (x, y) has column x from 0 and row y from 1.

    Members
    -------
    i, o : flit streams
        The host's link, north of node (0, 1).
    quiet : ``Out(1)``
        All nodes are.

    Attributes
    ----------
    nodes : dict of (x, y) to Node
    """

    def __init__(self, *, params: ChipParams, columns: int, rows: int):
        self.nodes = {
            (x, y): Node(params=params) for y in range(1, rows + 1) for x in range(columns)
        }
        super().__init__(
            {"i": In(flit_stream(params)), "o": Out(flit_stream(params)), "quiet": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        for (x, y), node in self.nodes.items():
            m.submodules[f"node_{x}_{y}"] = node
        edge = connect_mesh(m, self.nodes)
        connect(m, flipped(self.i), edge.i)
        connect(m, edge.o, flipped(self.o))
        m.d.comb += self.quiet.eq(Cat(node.quiet for node in self.nodes.values()).all())
        return m
