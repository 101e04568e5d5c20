# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the network on chip; each has twins with a planted fault that must be refuted."""

import itertools
from types import SimpleNamespace

import pytest
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

import stemcore.hdl.noc.router
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import LINKS, Port
from stemcore.hdl.layouts import flit_stream
from stemcore.hdl.noc.arbiter import Arbiter
from stemcore.hdl.noc.queue import FlitQueue, FlitRegister
from stemcore.hdl.noc.router import TURNS, RouteMask, Router
from tests.support.formal import inner_signal, prove, refute

pytestmark = pytest.mark.sim


# Queue ------------------------------------------------------------------------------------------
def open_queue(queue, m):
    """What a queue with module ``m`` holds, head first, and whether its addresses are sound."""
    depth = len(queue.holds)
    if depth == 2:
        places = [inner_signal(m, f"place_{k}") for k in range(2)]
        newest, oldest = inner_signal(m, "newest"), inner_signal(m, "oldest")
        contents = [Mux(oldest ^ k, places[1], places[0]) for k in range(2)]
        return contents, (newest ^ oldest) == (queue.holds == 1)
    storage = m.submodules.storage
    (write,), (read,) = storage.write_ports, storage.read_ports
    contents = []
    for k in range(depth):
        look = storage.read_port(domain="comb")
        place = read.addr + k
        m.d.comb += look.addr.eq(Mux(place >= depth, place - depth, place))
        contents.append(look.data)
    ahead = write.addr + Mux(write.addr < read.addr, depth, 0) - read.addr
    level = sum(queue.holds)
    is_sound = (read.addr < depth) & (write.addr < depth) & (ahead == Mux(level == depth, 0, level))
    return contents, is_sound


class ItemPassesOnce(wiring.Component):
    """Any one item, watched from where it enters a queue to where it leaves.

    The number of items before it goes down by one with each that leaves, and it leaves, intact,
    when that is zero; and the queue offers exactly as many items as entered and did not leave.
    """

    watch: In(1)

    def __init__(self, depth, fault=None):
        self._depth, self._fault = depth, fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        depth, fault = self._depth, self._fault
        queue = FlitQueue(shape=2, depth=depth)
        m.submodules.queue = inner = queue.elaborate(platform)
        contents, is_sound = open_queue(queue, inner)
        i_valid, o_ready = AnySeq(1), AnySeq(1)
        i_ready, o_payload = queue.i.ready, queue.o.payload
        m.d.comb += [
            queue.i.valid.eq(i_valid),
            queue.i.payload.eq(AnySeq(2)),
            queue.o.ready.eq(o_ready),
        ]
        if fault == "takes when full":
            i_ready = 1
        elif fault == "gives twice":
            again = Signal()
            m.d.sync += again.eq(~again)
            m.d.comb += queue.o.ready.eq(o_ready & again)
        elif fault == "reorders":
            o_payload = Mux(queue.holds[1], contents[1], contents[0])
        elif fault == "forgets the newest":
            m.d.comb += queue.i.valid.eq(i_valid & ~queue.holds[depth - 2])

        level, before = Signal(range(depth + 2)), Signal(range(depth + 2))
        watched, item = Signal(), Signal(2)
        push, pop = Signal(), Signal()
        m.d.comb += [
            push.eq(i_valid & i_ready),
            pop.eq(o_ready & queue.o.valid),
            Assert(queue.o.valid == (level != 0)),
            Assert(i_ready == (level != depth)),
            Assert(queue.holds == Cat(level > k for k in range(depth))),
            Assert(level <= depth),
            Assert(is_sound),
        ]
        m.d.sync += level.eq(level + push - pop)
        with m.If(watched):
            m.d.comb += [
                Assert(before < level),
                Assert(Array(contents)[before] == item),
            ]
            with m.If(before == 0):
                m.d.comb += Assert(o_payload == item)
            with m.If(pop):
                m.d.sync += before.eq(before - 1)
                with m.If(before == 0):
                    m.d.sync += watched.eq(0)
        with m.Elif(push & self.watch):
            m.d.sync += [watched.eq(1), item.eq(queue.i.payload), before.eq(level - pop)]
        return m


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_queue_passes_every_item_once_in_order(depth):
    prove(
        ItemPassesOnce(depth),
        f"queue_{depth}",
        mode="prove",
        depth=4,
        sizes=f"{depth} items of 2 bits",
    )


@pytest.mark.parametrize(
    "fault", ["takes when full", "gives twice", "reorders", "forgets the newest"]
)
@pytest.mark.parametrize("depth", [2, 3])
def test_queue_faults_are_found(depth, fault):
    refute(ItemPassesOnce(depth, fault), f"queue_{depth}_{fault.replace(' ', '_')}", depth=8)


# Arbiter ----------------------------------------------------------------------------------------
def total_order(m, n):
    """Which of two requests precedes, from the arbiter's module; whether there are no cycles."""
    precedes = {}
    for i, j in itertools.combinations(range(n), 2):
        precedes[i, j] = inner_signal(m, f"precedes_{i}_{j}")
        precedes[j, i] = ~precedes[i, j]
    cycles = (
        precedes[i, j] & precedes[j, k] & precedes[k, i]
        for i, j, k in itertools.permutations(range(n), 3)
    )
    return precedes, ~Cat(cycles).any()


class ServesInTurn(wiring.Component):
    """One grant, to a request; it stays until served; nobody waits for more than all the others."""

    def __init__(self, n, fault=None):
        self._n, self._fault = n, fault
        super().__init__({"request": In(n), "advance": In(1)})

    def elaborate(self, platform):
        m = Module()
        n, fault = self._n, self._fault
        arbiter = Arbiter(n=n)
        m.submodules.arbiter = inner = arbiter.elaborate(platform)
        told = {"does not hold": 1, "starves": 0}.get(fault, self.advance)
        m.d.comb += [arbiter.request.eq(self.request), arbiter.advance.eq(told)]
        grant = arbiter.grant
        precedes, is_order = total_order(inner, n)
        m.d.comb += [
            Assert(grant.any() == self.request.any()),
            Assert((grant & ~self.request) == 0),
            Assert((grant & (grant - 1)) == 0),
            Assert(is_order),
        ]
        waiting = Signal(n)
        m.d.sync += waiting.eq(Mux(self.advance, 0, grant))
        with m.If(waiting.any()):
            m.d.comb += [Assume((waiting & ~self.request) == 0), Assert(grant == waiting)]
        for k in range(n):
            passed = Signal(range(n + 2), name=f"passed_{k}")
            before = sum(precedes[j, k] for j in range(n) if j != k)
            with m.If(self.request[k]):
                m.d.comb += Assert(passed + before <= n - 1)
            with m.If(~self.request[k] | (grant[k] & self.advance)):
                m.d.sync += passed.eq(0)
            with m.Elif(self.advance):
                m.d.sync += passed.eq(passed + 1)
        return m


@pytest.mark.parametrize("n", [3, 4, 5])
def test_arbiter_serves_in_turn(n):
    prove(ServesInTurn(n), f"arbiter_{n}", mode="prove", depth=3, sizes=f"{n} requests")


@pytest.mark.parametrize("fault", ["does not hold", "starves"])
def test_arbiter_faults_are_found(fault):
    refute(ServesInTurn(3, fault), f"arbiter_{fault.replace(' ', '_')}", depth=8)


# Router -----------------------------------------------------------------------------------------
class OpenQueue(FlitQueue):
    """A queue that shows its contents, head first."""

    def __init__(self, *, shape, depth):
        super().__init__(shape=shape, depth=depth)
        self._module = super().elaborate(None)
        contents, self.is_sound = open_queue(self, self._module)
        self.contents = [data.View(shape, Value.cast(word)) for word in contents]

    def elaborate(self, platform):
        return self._module


class OpenArbiter(Arbiter):
    """An arbiter that shows its order."""

    def __init__(self, *, n):
        super().__init__(n=n)
        self._module = super().elaborate(None)
        self.precedes, self.is_order = total_order(self._module, n)

    def elaborate(self, platform):
        return self._module


class FlitsReachTheirOutputs(wiring.Component):
    """Two flits of any content, A before B, enter through one input among any other traffic.

    Each is offered, intact, on its own outputs only, once on each, and B not before A. What is
    offered stays until it is taken. When the router is idle, they have been given to all their
    outputs. With ``invariants``, what the induction needs to know of the states that can be reached
    is asserted too.
    """

    def __init__(self, params, source, *, invariants):
        self._params, self._source, self._invariants = params, source, invariants
        stream = flit_stream(params)
        super().__init__({"i": In(stream).array(len(Port)), "o": Out(stream).array(len(Port))})

    def elaborate(self, platform):
        m = Module()
        params = self._params
        router = Router(params)
        m.submodules.router = inner = router.elaborate(platform)
        width = params.coord_width
        m.d.comb += [router.x.eq(AnyConst(width)), router.y.eq(AnyConst(width))]
        for port in Port:
            wiring.connect(m, wiring.flipped(self.i[port]), router.i[port])
            wiring.connect(m, router.o[port], wiring.flipped(self.o[port]))
            out = self.o[port]
            waits, waiting = Signal(name=f"waits_{port}"), Signal.like(out.payload)
            m.d.sync += [waits.eq(out.valid & ~out.ready), waiting.eq(out.payload)]
            with m.If(waits):
                m.d.comb += Assert(out.valid & (out.payload == waiting))
        if self._invariants:
            queues, masks = self._structure(m, inner)

        a = self._track(m, router, "a")
        b = self._track(m, router, "b")
        m.d.comb += Assume(a.entered | ~b.entering)
        for port in Port:
            with m.If(b.offered[port]):
                m.d.comb += Assert(a.emitted[port] | ~a.mask[port])
        if self._invariants:
            inside_a, place_a = self._where(m, a, queues, masks)
            inside_b, place_b = self._where(m, b, queues, masks)
            m.d.comb += [
                Assert(a.entered | ~b.entered),
                Assert(~(inside_a & inside_b) | (place_a < place_b)),
                Assert(~(inside_a & b.entered) | inside_b),
            ]
        return m

    def _track(self, m, router, name):
        """Watches one flit from outside; its payload tells it apart from all others."""
        source, n = self._source, len(Port)
        route = RouteMask(params=self._params, arrived_from=source)
        m.submodules[f"route_{name}"] = route
        flit = Signal.like(route.flit, name=f"flit_{name}")
        m.d.comb += [
            flit.as_value().eq(AnyConst(len(flit.as_value()))),
            route.flit.eq(flit),
            route.x.eq(router.x),
            route.y.eq(router.y),
        ]
        entering, entered = Signal(name=f"entering_{name}"), Signal(name=f"entered_{name}")
        emitted, offered = Signal(n, name=f"emitted_{name}"), Signal(n, name=f"offered_{name}")
        for port in Port:
            i, o = self.i[port], self.o[port]
            with m.If(i.valid & (i.payload.payload == flit.payload)):
                m.d.comb += Assume((i.payload == flit) & ~entered if port == source else 0)
            m.d.comb += offered[port].eq(o.valid & (o.payload.payload == flit.payload))
            with m.If(offered[port]):
                m.d.comb += [
                    Assert(entered),
                    Assert(route.mask[port]),
                    Assert(~emitted[port]),
                    Assert(o.payload == flit),
                ]
                with m.If(o.ready):
                    m.d.sync += emitted[port].eq(1)
        i = self.i[source]
        m.d.comb += entering.eq(i.valid & i.ready & (i.payload.payload == flit.payload))
        with m.If(entering):
            m.d.sync += entered.eq(1)
        with m.If(entered & router.idle):
            m.d.comb += Assert(emitted == route.mask)
        return SimpleNamespace(
            flit=flit,
            mask=route.mask,
            entering=entering,
            entered=entered,
            emitted=emitted,
            offered=offered,
        )

    def _structure(self, m, inner):
        """Invariants of queues and arbiters, whatever flits they hold."""
        queues, masks = {}, {}
        for port in Port:
            name = port.name.lower()
            queues[port] = queue = getattr(inner.submodules, f"queue_{name}")
            masks[port] = [
                inner_signal(inner, f"{name}_mask_{k}") for k in range(self._params.queue_depth)
            ]
            turns = sum(1 << out for out in TURNS[port])
            m.d.comb += [
                Assert(queue.is_sound),
                Assert((queue.holds & (queue.holds + 1)) == 0),
                Assert(queue.holds[0] | (masks[port][0] == 0)),
                Assert(getattr(inner.submodules, f"arbiter_{name}").is_order),
            ]
            for held, mask in zip(queue.holds, masks[port], strict=True):
                m.d.comb += Assert(~held | ((mask & ~turns) == 0))
        return queues, masks

    def _where(self, m, track, queues, masks):
        """Invariants of a watched flit: it is in one place, with the outputs it still goes to."""
        source = self._source
        # What stands in the register of a link has left the queue; the core's output has none.
        passed = track.emitted | Cat(track.offered[port] & (port in LINKS) for port in Port)
        inside, place = Signal(), Signal(range(self._params.queue_depth))
        queue = queues[source]
        pop = queue.o.valid & queue.o.ready
        with m.If(track.entering):
            m.d.sync += [inside.eq(1), place.eq(sum(queue.holds) - pop)]
        with m.Elif(inside & pop):
            m.d.sync += [inside.eq(place != 0), place.eq(place - 1)]
        for port in Port:
            for k, word in enumerate(queues[port].contents):
                is_it = queues[port].holds[k] & (word.payload == track.flit.payload)
                is_there = inside & (place == k) if port == source else 0
                m.d.comb += Assert(~is_it | is_there)
        with m.If(inside):
            m.d.comb += [
                Assert(track.entered),
                Assert((queue.holds >> place)[0]),
                Assert(Array(queue.contents)[place].as_value() == track.flit.as_value()),
                Assert(Array(masks[source])[place] == track.mask & ~passed),
                Assert((place == 0) | (passed == 0)),
                Assert((passed & ~track.mask) == 0),
            ]
        with m.Else():
            m.d.comb += Assert(passed == Mux(track.entered, track.mask, 0))
        return inside, place


@pytest.fixture
def small(monkeypatch):
    """Parameters of a router of a few bits: 4 x 4 coordinates, 2 bits of payload."""
    monkeypatch.setattr(Formats, "payload_width", property(lambda formats: 2))
    monkeypatch.setattr(stemcore.hdl.noc.router, "FlitQueue", OpenQueue)
    monkeypatch.setattr(stemcore.hdl.noc.router, "Arbiter", OpenArbiter)
    return get_preset("tiny").with_(coord_width=2, queue_depth=2)


@pytest.mark.slow
@pytest.mark.parametrize("source", list(Port), ids=lambda port: port.name)
def test_router_gives_flits_to_their_outputs_once_in_order(source, small):
    component = FlitsReachTheirOutputs(small, source, invariants=True)
    sizes = f"from {source.name}: 4 x 4 nodes, queues of 2, 2 bits of payload"
    name = f"router_{source.name}"
    prove(component, name, mode="prove", depth=2, sizes=sizes, timeout=600)


class ForgetsLocal(RouteMask):
    def elaborate(self, platform):
        m = Module()
        m.submodules.route = route = RouteMask(params=self._params, arrived_from=self._arrived_from)
        m.d.comb += [
            route.x.eq(self.x),
            route.y.eq(self.y),
            route.flit.eq(self.flit),
            self.mask.eq(route.mask & ~(1 << Port.LOCAL)),
        ]
        return m


class FaultyQueue(FlitQueue):
    """A queue whose head leaves when ``leaves`` says, not when it was told to."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = FlitQueue(shape=self._shape, depth=self._depth)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        m.d.comb += [
            self.holds.eq(queue.holds),
            self.o.valid.eq(queue.o.valid),
            self.o.payload.eq(queue.o.payload),
            queue.o.ready.eq(self.leaves(m)),
        ]
        return m


class GivesTwice(FaultyQueue):
    def leaves(self, m):
        again = Signal()
        m.d.sync += again.eq(~again)
        return self.o.ready & again


class LeavesEarly(FaultyQueue):
    def leaves(self, m):
        return 1


class DoesNotHold(Arbiter):
    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = Arbiter(n=self._n)
        m.d.comb += [
            arbiter.request.eq(self.request),
            arbiter.advance.eq(1),
            self.grant.eq(arbiter.grant),
        ]
        return m


class GrantsAll(Arbiter):
    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.grant.eq(self.request)
        return m


class Overwrites(FlitRegister):
    """A register that takes a flit while one waits in it."""

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


class OffersAgain(FlitRegister):
    """A register that offers a flit once more after it was taken."""

    def elaborate(self, platform):
        m = Module()
        again = Signal()
        m.d.comb += self.i.ready.eq(~self.o.valid | (self.o.ready & again))
        m.d.sync += again.eq(self.o.valid & self.o.ready & ~again)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


FAULTS = (ForgetsLocal, GivesTwice, LeavesEarly, DoesNotHold, GrantsAll, Overwrites, OffersAgain)


@pytest.mark.parametrize("fault", FAULTS)
def test_router_faults_are_found(fault, small, monkeypatch):
    for part in (FlitQueue, FlitRegister, Arbiter, RouteMask):
        replacement = fault if issubclass(fault, part) else part
        monkeypatch.setattr(stemcore.hdl.noc.router, part.__name__, replacement)
    component = FlitsReachTheirOutputs(small, Port.LOCAL, invariants=False)
    refute(component, f"router_{fault.__name__}", depth=6, timeout=600)
