# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""One router alone: routes, order, arbitration, throughput."""

import itertools

import pytest
from amaranth import Module
from amaranth.back import rtlil
from amaranth.hdl import Fragment, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import LINKS, Port, next_ports
from stemcore.golden.spec.timing import HOP_CYCLES
from stemcore.hdl.noc.arbiter import Arbiter
from stemcore.hdl.noc.router import RouteMask, Router
from stemcore.hdl.platforms import PROCESSOR
from tests.support.crossed import crossed
from tests.support.streams import STALLS, Sink, Source, simulate
from tests.support.structure import combinational_outputs

PARAMS = get_preset("tiny")
FLIT = Formats(PARAMS).flit
HERE = (2, 3)
BEYOND = {Port.NORTH: (2, 2), Port.EAST: (3, 3), Port.SOUTH: (2, 4), Port.WEST: (1, 3)}
AT = {**BEYOND, Port.LOCAL: HERE}  # a node that is reached through each port


def flit(rectangle, payload=0, kind=0):
    x0, y0, x1, y1 = rectangle
    return FLIT.pack(kind=kind, x0=x0, y0=y0, x1=x1, y1=y1, payload=payload)


def node(x, y):
    return (x, y, x, y)


def latency(out):
    """Cycles from an input to ``out``: links have a register."""
    return HOP_CYCLES - 1 if out == Port.LOCAL else HOP_CYCLES


def strapped(router, here=HERE):
    async def strap(ctx):
        ctx.set(router.x, here[0])
        ctx.set(router.y, here[1])

    return strap


@pytest.mark.parametrize("platform", [None, PROCESSOR])
@pytest.mark.parametrize("port", list(Port))
def test_route_mask_matches_golden_everywhere(port, platform):
    params = PARAMS.with_(coord_width=2)
    dut = RouteMask(params=params, arrived_from=port)
    layout = Formats(params).flit

    async def compare(ctx):
        for x, y in itertools.product(range(4), range(1, 4)):
            ctx.set(dut.x, x)
            ctx.set(dut.y, y)
            for x0, y0, x1, y1 in itertools.product(range(4), repeat=4):
                word = layout.pack(kind=0, x0=x0, y0=y0, x1=x1, y1=y1, payload=0)
                ctx.set(Value.cast(dut.flit), word)
                mask = ctx.get(dut.mask)
                got = {out for out in Port if mask >> out & 1}
                wanted = next_ports(x, y, port, (x0, y0, x1, y1))
                assert got == wanted, f"node ({x}, {y}), rectangle {(x0, y0, x1, y1)}"

    simulator = Simulator(Fragment.get(dut, platform))
    simulator.add_testbench(compare)
    simulator.run()


@pytest.mark.medium
@crossed(1, here={"here0": HERE, "here1": (0, 1)}, depth=[2, 3, 4], stall=STALLS)
def test_router_gives_every_flit_to_its_outputs_in_order(here, depth, stall, rng):
    router = Router(PARAMS.with_(queue_depth=depth))
    sent = {port: [] for port in Port}
    wanted = {(source, out): [] for source in Port for out in Port}
    for source in Port:
        while len(sent[source]) < 60:
            corners = rng.integers(8, size=(2, 2))
            (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
            word = flit((x0, y0, x1, y1), payload=source << 16 | len(sent[source]))
            sent[source].append(word)
            for out in next_ports(*here, source, (x0, y0, x1, y1)):
                wanted[source, out].append(word)
    sinks = {
        out: Sink(router.o[out], sum(len(wanted[source, out]) for source in Port), stall, rng)
        for out in Port
    }
    sources = [Source(router.i[port], sent[port], stall, rng) for port in Port]
    simulate(router, [strapped(router, here), *sources, *sinks.values()], limit=5000)
    for source, out in wanted:
        got = [w for w in sinks[out].items if FLIT.unpack(w)["payload"] >> 16 == source]
        assert got == wanted[source, out], f"from {source.name} to {out.name}"


@pytest.mark.medium
@pytest.mark.parametrize(
    "source",
    [
        Port.NORTH,
        Port.LOCAL,
        *(pytest.param(p, marks=pytest.mark.slow) for p in (Port.EAST, Port.SOUTH, Port.WEST)),
    ],
)
def test_router_passes_a_flit_a_cycle_two_cycles_later_or_one_to_the_core(source):
    for out in Port:
        if out not in next_ports(*HERE, source, node(*AT[out])) or out == source:
            continue
        router = Router(PARAMS)
        items = [flit(node(*AT[out]), payload=k) for k in range(30)]
        sender, sink = Source(router.i[source], items), Sink(router.o[out], len(items))
        simulate(router, [strapped(router), sender, sink], limit=100)
        assert sender.cycles == list(range(30))
        assert sink.cycles == [cycle + latency(out) for cycle in sender.cycles]
        assert sink.items == items


@pytest.mark.medium
def test_router_runs_five_streams_side_by_side_at_full_rate():
    router = Router(PARAMS)
    pairs = {
        Port.NORTH: Port.SOUTH,
        Port.SOUTH: Port.NORTH,
        Port.EAST: Port.WEST,
        Port.WEST: Port.EAST,
        Port.LOCAL: Port.LOCAL,
    }
    sinks = {out: Sink(router.o[out], 40) for out in pairs.values()}
    sources = [
        Source(router.i[port], [flit(node(*AT[out]), payload=k) for k in range(40)])
        for port, out in pairs.items()
    ]
    simulate(router, [strapped(router), *sources, *sinks.values()], limit=60)
    for out, sink in sinks.items():
        assert sink.cycles == list(range(latency(out), latency(out) + 40))


@pytest.mark.medium
def test_router_serves_inputs_in_turn():
    router = Router(PARAMS)
    sources = [
        Source(router.i[port], [flit(node(*HERE), payload=port << 8 | k) for k in range(20)])
        for port in Port
    ]
    sink = Sink(router.o[Port.LOCAL], 100)
    simulate(router, [strapped(router), *sources, sink], limit=200)
    assert sink.cycles == list(range(1, 101))
    order = [FLIT.unpack(word)["payload"] >> 8 for word in sink.items]
    for start in range(95):
        assert len(set(order[start : start + 5])) == 5


@pytest.mark.medium
def test_router_copies_go_as_outputs_become_free():
    router = Router(PARAMS)
    everywhere = flit((0, 1, 7, 7), payload=5)
    free = {Port.NORTH: 3, Port.EAST: 1, Port.SOUTH: 6, Port.WEST: 2, Port.LOCAL: 4}

    async def observe(ctx):
        ctx.set(router.x, HERE[0])
        ctx.set(router.y, HERE[1])
        ctx.set(Value.cast(router.i[Port.LOCAL].payload), everywhere)
        ctx.set(router.i[Port.LOCAL].valid, 1)
        await ctx.tick()
        ctx.set(router.i[Port.LOCAL].valid, 0)
        for cycle in range(8):
            for out in Port:
                offered = latency(out) - 1 <= cycle <= free[out]
                assert ctx.get(router.o[out].valid) == offered, (cycle, out.name)
                ctx.set(router.o[out].ready, cycle == free[out])
            assert ctx.get(router.idle) == (cycle > 6)
            await ctx.tick()

    simulate(router, [observe], limit=20)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.long)])
def test_router_tells_when_it_may_change(depth, rng):
    """Registers stay where no flit came, went or moved in this cycle and the one before."""
    router = Router(PARAMS.with_(queue_depth=depth))
    streams = [*router.i, *router.o]

    async def observe(ctx):
        await strapped(router)(ctx)
        offered, was_awake, slept = None, True, 0
        for cycle in range(6000):
            chance = (0.02, 0.5)[cycle // 100 % 2]
            for port in Port:
                i, o = router.i[port], router.o[port]
                if not ctx.get(i.valid) or ctx.get(i.ready):
                    ctx.set(i.valid, int(rng.random() < chance))
                    x0, y0, x1, y1 = rng.integers(8, size=4).tolist()
                    ctx.set(Value.cast(i.payload), flit((x0, y0, x1, y1), cycle))
                ctx.set(o.ready, int(rng.random() < (0.02, 0.2, 1)[cycle // 100 % 3]))
            # What is offered is the router's state, seen from outside.
            seen = [ctx.get(router.idle), *(ctx.get(i.ready) for i in router.i)]
            for o in router.o:
                seen.append(ctx.get(o.valid) and ctx.get(Value.cast(o.payload)))
            assert offered is None or offered == seen, cycle
            awake = any(ctx.get(s.valid) and ctx.get(s.ready) for s in streams)
            awake = awake or bool(ctx.get(router.moves))
            asleep = not (awake or was_awake)
            slept += asleep
            offered, was_awake = seen if asleep else None, awake
            await ctx.tick()
        assert slept > 200

    simulate(router, [observe], limit=7000)


@pytest.mark.medium
def test_router_drops_what_has_no_destination():
    router = Router(PARAMS)
    nowhere = [flit((3, 3, 1, 3)), flit((2, 4, 2, 2))]
    last = flit(node(*HERE), payload=9)
    source = Source(router.i[Port.LOCAL], [*nowhere, last])
    sink = Sink(router.o[Port.LOCAL], 1)
    simulate(router, [strapped(router), source, sink], limit=20)
    assert sink.items == [last]


@pytest.mark.medium
def test_arbiter_holds_a_waiting_grant_and_starves_nobody(rng):
    n = 5
    arbiter = Arbiter(n=n)

    async def observe(ctx):
        requests, waiting, passed = 0, None, [0] * n
        for _ in range(2000):
            requests |= int(rng.integers(1 << n)) & int(rng.integers(1 << n))
            advance = int(rng.integers(2))
            ctx.set(arbiter.request, requests)
            ctx.set(arbiter.advance, advance)
            grant = ctx.get(arbiter.grant)
            assert grant.bit_count() == (requests != 0)
            assert grant & ~requests == 0
            if waiting is not None:
                assert grant == waiting
            waiting = grant if grant and not advance else None
            if grant and advance:
                requests &= ~grant
                for k in range(n):
                    passed[k] = passed[k] + 1 if requests >> k & 1 else 0
                    assert passed[k] < n
            await ctx.tick()

    simulate(arbiter, [observe], limit=3000)


def test_arbiter_refuses_a_single_request():
    with pytest.raises(ValueError, match=r"^Arbiter\.n: must be 2 or more, got 1$"):
        Arbiter(n=1)


@pytest.mark.medium
@pytest.mark.parametrize("preset", ["tiny", "ecp5", "sim32"])
def test_router_converts(preset):
    assert rtlil.convert(Router(get_preset(preset)), emit_src=False)


def test_ports_of_golden_are_the_links_then_local():
    assert [*LINKS, Port.LOCAL] == list(Port)


class Shortcut(wiring.Component):
    """A router behind a gate that lets an input reach an output: the fault to be found."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.router = router = Router(PARAMS)
        m.d.comb += self.o.eq(router.o[Port.EAST].valid & ~self.i)
        return m


@pytest.mark.sim
@pytest.mark.parametrize("depth", [2, 3])
def test_router_has_no_path_from_input_to_output(depth):
    router = Router(PARAMS.with_(queue_depth=depth))
    assert combinational_outputs(router, f"router_{depth}") == set()


@pytest.mark.sim
def test_combinational_paths_are_found():
    assert combinational_outputs(Shortcut(), "router_shortcut") == {"o"}
    assert combinational_outputs(Arbiter(n=3), "arbiter") == {"grant"}


@pytest.mark.medium
def test_router_outputs_stay_while_inputs_change_between_edges(rng):
    router = Router(PARAMS)
    inputs = [Value.cast(router.i[port].payload) for port in Port]
    inputs += [router.i[port].valid for port in Port] + [router.o[port].ready for port in Port]
    outputs = [Value.cast(router.o[port].payload) for port in Port]
    outputs += [router.o[port].valid for port in Port] + [router.i[port].ready for port in Port]

    async def observe(ctx):
        await strapped(router)(ctx)
        for _ in range(100):
            await ctx.tick()
            seen = [ctx.get(output) for output in outputs]
            for _ in range(3):
                for member in inputs:
                    ctx.set(member, int(rng.integers(1 << len(member))))
                assert [ctx.get(output) for output in outputs] == seen

    simulate(router, [observe], limit=200)
