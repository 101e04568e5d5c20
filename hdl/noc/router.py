# SPDX-License-Identifier: Apache-2.0
"""The router of a node: five queues, five arbiters, and the rule of ``routing`` in gates."""

from functools import reduce
from operator import gt, or_

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import LINKS, Port

from ..layouts import flit_stream, struct
from ..platforms import PROCESSOR
from .arbiter import Arbiter
from .queue import FlitQueue, FlitRegister

# Outputs that flits of each input can ask for: columns are not left again, nothing turns back, and
# from the North only the host's flits, in row 1, turn into the row.
TURNS = {
    Port.NORTH: (Port.EAST, Port.SOUTH, Port.WEST, Port.LOCAL),
    Port.EAST: (Port.NORTH, Port.SOUTH, Port.WEST, Port.LOCAL),
    Port.SOUTH: (Port.NORTH, Port.LOCAL),
    Port.WEST: (Port.NORTH, Port.EAST, Port.SOUTH, Port.LOCAL),
    Port.LOCAL: (Port.NORTH, Port.EAST, Port.SOUTH, Port.WEST, Port.LOCAL),
}


def exceeds(a, b):
    """``a > b`` for unsigned values of equal width, without a carry chain.

    Coordinates are a few bits, and constants where a mesh is placed: a chain takes longer to enter
    and to leave than these gates.
    """
    greater, equal = Const(0), Const(1)
    for i in reversed(range(len(a))):
        greater |= equal & a[i] & ~b[i]
        equal &= a[i] == b[i]
    return greater


class RouteMask(wiring.Component):
    """Which outputs a flit asks for: ``stemcore.golden.spec.routing.next_ports``, combinational.

    Parameters
    ----------
    params : ChipParams
    arrived_from : Port
        The input that the flit came in through.

    Members
    -------
    x, y : ``In(coord_width)``
        Coordinates of this node.
    flit : ``In(flit)``
    mask : ``Out(5)``
        One bit a port, North lowest.
    """

    def __init__(self, *, params: ChipParams, arrived_from: Port):
        self._params = params
        self._arrived_from = arrived_from
        super().__init__(
            {
                "x": In(params.coord_width),
                "y": In(params.coord_width),
                "flit": In(struct(Formats(params).flit)),
                "mask": Out(len(Port)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flit = self.flit
        above = gt if platform == PROCESSOR else exceeds
        is_in_row = Signal()
        is_in_columns = Signal()
        may_leave_column = Signal()
        if self._arrived_from == Port.SOUTH:
            m.d.comb += is_in_row.eq(0)
        elif self._arrived_from == Port.NORTH:
            m.d.comb += is_in_row.eq(self.y == 1)
        else:
            m.d.comb += is_in_row.eq(1)
        m.d.comb += [
            is_in_columns.eq(~above(flit.x0, self.x) & ~above(self.x, flit.x1)),
            may_leave_column.eq(~is_in_row | is_in_columns),
        ]
        asks = {
            Port.NORTH: may_leave_column & above(self.y, flit.y0),
            Port.EAST: is_in_row & above(flit.x1, self.x),
            Port.SOUTH: may_leave_column & above(flit.y1, self.y),
            Port.WEST: is_in_row & above(self.x, flit.x0),
            Port.LOCAL: may_leave_column & ~above(flit.y0, self.y) & ~above(self.y, flit.y1),
        }
        turns = TURNS[self._arrived_from]
        m.d.comb += self.mask.eq(Cat(asks[port] if port in turns else 0 for port in Port))
        return m


class Router(wiring.Component):
    """Passes flits on between four links and a core, along the trees of ``routing``.

    Two cycles from ``i`` to a link of ``o``, one to the core, and one flit a cycle on each port.
    The flit at the head of an input queue goes to each of its outputs as that becomes free, and
    leaves the queue with the last. Every output serves the input that it served longest ago, and
    keeps to it until the flit is taken. Flits from one input to one output stay in order.
    ``i.ready``, ``o.valid`` and ``o.payload`` depend on registers only.

    Outputs to links have a register: arbitration takes most of a cycle, and so does what the next
    router works out from a flit that arrives. The core has registers of its own at its entry.

    A flit that asks for no output (an inverted rectangle, the host's own to the host) vanishes.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    x, y : ``In(coord_width)``
        Coordinates of this node; constant while flits are about.
    i : ``In(flit_stream(params)).array(5)``
    o : ``Out(flit_stream(params)).array(5)``
        Ports as ``stemcore.golden.spec.routing.Port`` numbers them: North, East, South, West,
        Local.
    idle : ``Out(1)``
        No flit is here.
    vanishes : ``Out(1)``
        A flit that asks for no output does so in this cycle. Depends on registers only.
    moves : ``Out(1)``
        A flit goes from its queue to the register of an output, or vanishes, without one that
        enters or leaves the router in this cycle. Depends on registers only.
    """

    link_names = tuple(port.name.lower() for port in Port)

    def __init__(self, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "x": In(params.coord_width),
                "y": In(params.coord_width),
                "i": In(flit_stream(params)).array(len(Port)),
                "o": Out(flit_stream(params)).array(len(Port)),
                "idle": Out(1),
                "vanishes": Out(1),
                "moves": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        layout = struct(Formats(params).flit)
        heads, pending, served = {}, {}, {}
        for port in Port:
            name = port.name.lower()
            route = RouteMask(params=params, arrived_from=port)
            queue = FlitQueue(shape=layout, depth=params.queue_depth)
            m.submodules[f"route_{name}"] = route
            m.submodules[f"queue_{name}"] = queue
            heads[port] = queue.o
            served[port] = Signal(len(Port), name=f"{name}_served")
            # Outputs that each flit of the queue has still to be given to, the head's first. They
            # move up with the queue; those of the head are struck off as it is taken.
            masks = [Signal(len(Port), name=f"{name}_mask_{k}") for k in range(params.queue_depth)]
            pending[port] = masks[0]
            left = Signal(len(Port), name=f"{name}_left")
            entering = Signal(len(Port), name=f"{name}_entering")
            m.d.comb += [
                route.x.eq(self.x),
                route.y.eq(self.y),
                route.flit.eq(self.i[port].payload),
                left.eq(masks[0] & ~served[port]),
                queue.o.ready.eq(~left.any()),
                entering.eq(Mux(self.i[port].valid, route.mask, 0)),
            ]
            wiring.connect(m, wiring.flipped(self.i[port]), queue.i)
            m.d.sync += masks[0].eq(left)
            for k, mask in enumerate(masks):
                is_last = k == params.queue_depth - 1
                follows = entering if is_last else Mux(queue.holds[k + 1], masks[k + 1], entering)
                with m.If(queue.o.ready | ~queue.holds[k]):
                    m.d.sync += mask.eq(follows)

        vanish = [heads[port].valid & ~pending[port].any() for port in Port]
        moves = [*vanish]
        is_here = [heads[port].valid for port in Port]
        for port in Port:
            name = port.name.lower()
            sources = [source for source in Port if port in TURNS[source]]
            m.submodules[f"arbiter_{name}"] = arbiter = Arbiter(n=len(sources))
            out = wiring.flipped(self.o[port])
            if port in LINKS:
                m.submodules[f"link_{name}"] = register = FlitRegister(shape=layout)
                wiring.connect(m, register.o, out)
                out = register.i
                moves.append(arbiter.request.any() & ~register.o.valid)
                is_here.append(register.o.valid)
            choices = (
                Mux(granted, heads[source].payload.as_value(), 0)
                for granted, source in zip(arbiter.grant, sources, strict=True)
            )
            m.d.comb += [
                arbiter.request.eq(Cat(pending[source][port] for source in sources)),
                arbiter.advance.eq(out.ready),
                out.valid.eq(arbiter.request.any()),
                out.payload.eq(reduce(or_, choices)),
            ]
            m.d.comb += [
                served[source][port].eq(granted & out.ready)
                for granted, source in zip(arbiter.grant, sources, strict=True)
            ]
        m.d.comb += [
            self.idle.eq(~Cat(is_here).any()),
            self.vanishes.eq(Cat(vanish).any()),
            self.moves.eq(Cat(moves).any()),
        ]
        return m
