# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that the mesh never stands still, whatever flits are in it; twins must be refuted.

1. In any state of a mesh of routers that is not empty, something moves in every cycle in which the
   cores and the host take what they are offered (``NeverStandsStill``). The solver shows it of all
   states in which queues, arbiters and masks are sound, which are all that can be reached, by
   induction: what is sound stays sound. Nothing is assumed of flits: rectangles may be inverted or
   reach out of the mesh.
2. A flit at the head of a queue is passed at each of its outputs by at most one flit of each other
   input (``HeadIsServed``), so no flit stands still for ever while others move.
3. Every move brings a flit nearer to where it leaves the mesh: dimension order has no way back.
   There are finitely many flits and hops, so every flit leaves, and every link opens again, that
   of the host among them, if cores take flits again and again.
4. And so they do, by the token rules: test_errors.py shows that a core takes a token at once, and
   what configures it within eight cycles, or drops it, whether it is due or not, and never waits
   for the mesh to do so. A spike waits for room in the queue of spikes alone, which loop nests
   empty: these are finite, and wait for nothing, as test_address_generator.py shows.
"""

import pytest
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

import stemcore.hdl.noc.router
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import Port
from stemcore.hdl.noc.arbiter import Arbiter
from stemcore.hdl.noc.mesh import connect_mesh
from stemcore.hdl.noc.router import TURNS, RouteMask, Router
from tests.formal.test_noc import OpenArbiter, OpenQueue
from tests.support.formal import implies, inner_signal, prove, refute

pytestmark = pytest.mark.sim

EAST_WEST = 1 << Port.EAST | 1 << Port.WEST
ALL_TURNS = {port: tuple(other for other in Port if other != port) for port in Port}


@pytest.fixture
def small(monkeypatch):
    """Routers of queues of two, 4 x 4 coordinates and a bit of payload, that can be looked into."""
    monkeypatch.setattr(Formats, "payload_width", property(lambda formats: 1))
    monkeypatch.setattr(stemcore.hdl.noc.router, "FlitQueue", OpenQueue)
    monkeypatch.setattr(stemcore.hdl.noc.router, "Arbiter", OpenArbiter)
    return get_preset("tiny").with_(coord_width=2, queue_depth=2)


def masks_of(inner, port, depth):
    """Outputs that each flit of an input's queue still asks for, its head first."""
    return [inner_signal(inner, f"{port.name.lower()}_mask_{k}") for k in range(depth)]


def soundness(inner, y, depth):
    """Conditions on the registers of a router in row ``y`` that hold in all states there are."""
    found = []
    for port in Port:
        name = port.name.lower()
        queue = getattr(inner.submodules, f"queue_{name}")
        masks = masks_of(inner, port, depth)
        allowed = sum(1 << out for out in TURNS[port])
        if port is Port.NORTH:
            # Only the host's flits, in row 1, turn from a column into the row.
            allowed = Mux(y == 1, allowed, allowed & ~EAST_WEST)
        found += [
            queue.is_sound,
            (queue.holds & (queue.holds + 1)) == 0,
            queue.holds[0] | (masks[0] == 0),
            getattr(inner.submodules, f"arbiter_{name}").is_order,
            *(
                ~held | ((mask & ~allowed) == 0)
                for held, mask in zip(queue.holds, masks, strict=True)
            ),
        ]
    return found


class NeverStandsStill(wiring.Component):
    """A mesh of routers, any flits in it: something moves, or it is empty.

    In every cycle in which all cores and the host take what they are offered, a flit goes from a
    queue to a link, over a link, into a core, or vanishes because it goes nowhere. So there is no
    circle of flits of which each waits for the next.
    """

    def __init__(self, params, columns, rows, *, invariants=True):
        self._params, self._columns, self._rows = params, columns, rows
        self._invariants = invariants
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        nodes = {}
        moves, is_empty = Const(0), Const(1)
        for x in range(self._columns):
            for y in range(1, self._rows + 1):
                nodes[x, y] = router = Router(self._params)
                inner = router.elaborate(platform)
                m.submodules[f"router_{x}_{y}"] = inner
                if self._invariants:
                    sound = soundness(inner, y, self._params.queue_depth)
                    m.d.comb += [Assert(condition) for condition in sound]
                core_in, core_out = router.i[Port.LOCAL], router.o[Port.LOCAL]
                payload = Value.cast(core_in.payload)
                takes = AnySeq(1)
                m.d.comb += [
                    core_in.valid.eq(AnySeq(1)),
                    payload.eq(AnySeq(len(payload))),
                    core_out.ready.eq(takes),
                ]
                for port in Port:
                    moves |= router.o[port].valid & router.o[port].ready
                moves |= router.moves
                is_empty &= router.idle
                nodes[x, y] = router
        edge = connect_mesh(m, nodes)
        payload, host_takes = Value.cast(edge.i.payload), AnySeq(1)
        m.d.comb += [
            edge.i.valid.eq(AnySeq(1)),
            payload.eq(AnySeq(len(payload))),
            edge.o.ready.eq(host_takes),
        ]
        all_take = host_takes
        for router in nodes.values():
            all_take &= router.o[Port.LOCAL].ready
        m.d.comb += Assert(implies(all_take & ~is_empty, moves))
        return m


def test_the_mesh_never_stands_still(small):
    sizes = "2 x 2 nodes, queues of 2, any flits of 12 bits"
    prove(NeverStandsStill(small, 2, 2), "mesh", mode="prove", depth=1, sizes=sizes)


class AnyOrder(RouteMask):
    """Planted fault: half of the flits go along columns first, as rows and columns were alike."""

    def elaborate(self, platform):
        m = Module()
        flit = self.flit
        right, left = flit.x0 > self.x, flit.x0 < self.x
        down, up = flit.y0 > self.y, flit.y0 < self.y
        columns_first, in_row, in_column = flit.kind[0], Signal(), Signal()
        m.d.comb += [
            in_row.eq((right | left) & ~(columns_first & (down | up))),
            in_column.eq((down | up) & ~in_row),
        ]
        asks = {
            Port.NORTH: in_column & up,
            Port.EAST: in_row & right,
            Port.SOUTH: in_column & down,
            Port.WEST: in_row & left,
            Port.LOCAL: ~(right | left | down | up),
        }
        turns = stemcore.hdl.noc.router.TURNS[self._arrived_from]
        m.d.comb += self.mask.eq(Cat(asks[port] if port in turns else 0 for port in Port))
        return m


def test_a_mesh_that_goes_both_ways_is_found(small, monkeypatch):
    monkeypatch.setattr(stemcore.hdl.noc.router, "TURNS", ALL_TURNS)
    monkeypatch.setattr(stemcore.hdl.noc.router, "RouteMask", AnyOrder)
    component = NeverStandsStill(small, 2, 2, invariants=False)
    refute(component, "mesh_both_ways", depth=11)


# One router -------------------------------------------------------------------------------------
class HeadIsServed(wiring.Component):
    """A flit at the head of any queue of a router waits for at most one flit of each other input.

    At each of its outputs, whatever the outputs wait for: so at outputs that are taken again and
    again it leaves. What the induction is told: those others are the ones that go before it.
    """

    def __init__(self, params, source):
        self._params, self._source = params, source
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        params, source = self._params, self._source
        router = Router(params)
        m.submodules.router = inner = router.elaborate(platform)
        width = params.coord_width
        y = AnyConst(width)
        m.d.comb += [router.x.eq(AnyConst(width)), router.y.eq(y)]
        for port in Port:
            i, o = router.i[port], router.o[port]
            payload = Value.cast(i.payload)
            m.d.comb += [
                i.valid.eq(AnySeq(1)),
                payload.eq(AnySeq(len(payload))),
                o.ready.eq(AnySeq(1)),
            ]
        m.d.comb += [Assert(c) for c in soundness(inner, y, params.queue_depth)]
        head = masks_of(inner, source, params.queue_depth)[0]
        leaves = getattr(inner.submodules, f"queue_{source.name.lower()}").o.ready
        for out in TURNS[source]:
            name = out.name.lower()
            sources = [other for other in Port if out in TURNS[other]]
            arbiter = getattr(inner.submodules, f"arbiter_{name}")
            me = sources.index(source)
            passed = Signal(range(len(sources) + 2), name=f"passed_{name}")
            before = sum(arbiter.precedes[k, me] for k in range(len(sources)) if k != me)
            m.d.comb += Assert(implies(head[out], passed + before <= len(sources) - 1))
            is_passed = arbiter.advance & (arbiter.grant & ~(1 << me)).any()
            with m.If(leaves | ~head[out]):
                m.d.sync += passed.eq(0)
            with m.Elif(is_passed):
                m.d.sync += passed.eq(passed + 1)
        return m


@pytest.mark.parametrize("source", list(Port), ids=lambda port: port.name)
def test_the_head_of_a_queue_is_served(source, small):
    name, sizes = f"head_{source.name}", f"from {source.name}: queues of 2, 4 x 4 coordinates"
    prove(HeadIsServed(small, source), name, mode="prove", depth=2, sizes=sizes)


class LowestFirst(Arbiter):
    """Planted fault: the lowest input always goes first."""

    def __init__(self, *, n):
        super().__init__(n=n)
        self.is_order = Const(1)
        self.precedes = {(i, j): Const(int(i < j)) for i in range(n) for j in range(n)}

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.grant.eq(self.request & -self.request)
        return m


def test_an_arbiter_that_starves_is_found(small, monkeypatch):
    monkeypatch.setattr(stemcore.hdl.noc.router, "Arbiter", LowestFirst)
    refute(HeadIsServed(small, Port.LOCAL), "head_starves", depth=10)
