# SPDX-License-Identifier: Apache-2.0
"""A node of the mesh: a router and a neuron core."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams

from .core.core import AWAKE as CORE_AWAKE
from .core.core import Core
from .layouts import flit_stream, struct
from .noc.router import Router

LOCAL = 4  # the router's port to the core; 0 to 3 are North, East, South, West
LINK_NAMES = ("north", "east", "south", "west")  # of the others, in Verilog
AWAKE = data.StructLayout({**CORE_AWAKE.members, "router": 1})


class Node(wiring.Component):
    """Router and core. Every output depends on registers alone.

    Members
    -------
    x, y : ``In``
        Coordinates of this node: column 0.., row 1... Constant.
    edges : ``In(4)``
        Links beyond which there is no node, North lowest; such a link must be ready. What is sent
        there is dropped, and counted as an error of this node, as is what goes nowhere. Constant.
    i, o : arrays of four flit streams
        Links to the North, East, South and West.
    quiet : ``Out(1)``
        Nothing will happen before a flit arrives, as in ``Core``: a simulator may skip the node.
    awake : ``Out(AWAKE)``
        As in ``Core``. ``router`` is high in cycles in which a flit moves inside the router or
        between router and core; where that was not so in this cycle and the one before it, and no
        flit came or went over a link, none of its registers changes. Costs nothing where it is
        left unconnected.
    sent : ``Out(1)``, sent_flit : ``Out(flit)``
        For observers: the core hands this flit to its router in this cycle. Costs nothing where
        it is left unconnected.
    """

    link_names = LINK_NAMES

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "x": In(params.coord_width),
                "y": In(params.coord_width),
                "edges": In(LOCAL),
                "i": In(flit_stream(params)).array(LOCAL),
                "o": Out(flit_stream(params)).array(LOCAL),
                "quiet": Out(1),
                "awake": Out(AWAKE),
                "sent": Out(1),
                "sent_flit": Out(struct(Formats(params).flit)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.router = router = Router(params=self._params)
        m.submodules.core = core = Core(params=self._params)
        m.d.comb += [router.x.eq(self.x), router.y.eq(self.y)]
        for port in range(LOCAL):
            connect(m, flipped(self.i[port]), router.i[port])
            connect(m, router.o[port], flipped(self.o[port]))
        connect(m, router=router.o[LOCAL], core=core.i)
        connect(m, core=core.o, router=router.i[LOCAL])
        # A cycle late: the links' neighbours need not wait for a counter.
        hops = Signal(LOCAL)
        m.d.sync += hops.eq(
            Cat(
                link.valid & link.ready & (link.payload.kind == Kind.SPIKE.value) for link in self.o
            )
        )
        stray = Signal()
        m.d.sync += stray.eq(
            (Cat(link.valid for link in self.o) & self.edges).any() | router.vanishes
        )
        m.d.comb += [
            core.x.eq(self.x),
            core.y.eq(self.y),
            core.stray.eq(stray),
            core.hops.eq(sum(hops)),
            self.quiet.eq(router.idle & core.quiet & ~hops.any() & ~stray),
            self.awake.router.eq(
                router.moves
                | (router.o[LOCAL].valid & core.i.ready)
                | (core.o.valid & router.i[LOCAL].ready)
            ),
            *(self.awake[block].eq(core.awake[block]) for block in CORE_AWAKE.members),
            self.sent.eq(core.o.valid & core.o.ready),
            self.sent_flit.eq(core.o.payload),
        ]
        return m
