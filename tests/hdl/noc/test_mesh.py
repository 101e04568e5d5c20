# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Meshes of bare routers under saturating multicast traffic."""

import itertools

import pytest
from amaranth import Module
from amaranth.hdl import Value

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import HOST, Port, tree
from stemcore.hdl.noc.mesh import connect_mesh
from stemcore.hdl.noc.router import Router
from tests.support.streams import Sink, Source, simulate

PARAMS = get_preset("tiny")
FLIT = Formats(PARAMS).flit
TO_HOST = (*HOST, *HOST)


def build(columns, rows, params=PARAMS):
    m = Module()
    nodes = {(x, y): Router(params) for x in range(columns) for y in range(1, rows + 1)}
    for (x, y), node in nodes.items():
        m.submodules[f"node_{x}_{y}"] = node
    return m, nodes, connect_mesh(m, nodes)


def ends(nodes, edge):
    """Streams into and out of the mesh, by node; the host's are those at (0, 0)."""
    enter = {HOST: edge.i, **{at: node.i[Port.LOCAL] for at, node in nodes.items()}}
    leave = {HOST: edge.o, **{at: node.o[Port.LOCAL] for at, node in nodes.items()}}
    return enter, leave


def random_rectangle(rng, source, columns, rows):
    """A node, a rectangle of any size, the whole mesh, or the host."""
    kind = rng.integers(8)
    if kind == 0 and source != HOST:
        return TO_HOST
    if kind == 1:
        return (0, 1, columns - 1, rows)
    n_corners = 1 if kind < 5 else 2
    xs, ys = rng.integers(columns, size=n_corners), rng.integers(1, rows + 1, size=n_corners)
    return (int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max()))


async def watch(ctx, edge):
    async for _, _, stray in ctx.tick().sample(edge.stray):
        assert not stray, "a flit left the mesh"


@pytest.mark.slow
@pytest.mark.parametrize("stall", ["free", "third"])
@pytest.mark.parametrize(
    ("columns", "rows", "depth", "n_flits"), [(3, 2, 2, 60), (3, 2, 4, 60), (4, 4, 2, 20)]
)
def test_mesh_delivers_every_flit_once_in_order(columns, rows, depth, n_flits, stall, rng):
    m, nodes, edge = build(columns, rows, PARAMS.with_(queue_depth=depth))
    enter, leave = ends(nodes, edge)
    sent = {source: [] for source in enter}
    wanted = {pair: [] for pair in itertools.product(enter, leave)}
    for number, source in enumerate(enter):
        for k in range(n_flits):
            rectangle = random_rectangle(rng, source, columns, rows)
            x0, y0, x1, y1 = rectangle
            word = FLIT.pack(kind=k % 8, x0=x0, y0=y0, x1=x1, y1=y1, payload=number << 16 | k)
            sent[source].append(word)
            for there in tree(source, rectangle).hops:
                wanted[source, there].append(word)
    expected = {there: sum(len(wanted[s, there]) for s in enter) for there in leave}
    sinks = {there: Sink(leave[there], expected[there], stall, rng) for there in leave}
    sources = [Source(enter[source], sent[source], stall, rng) for source in enter]

    async def no_stray(ctx):
        await watch(ctx, edge)

    # The busiest local port sets the pace; a mesh that jams never ends.
    limit = 12 * max(expected.values()) + 200
    simulate(m, [*sources, *sinks.values()], background=[no_stray], limit=limit)
    for there, sink in sinks.items():
        by_source = {source: [] for source in enter}
        for word in sink.items:
            by_source[list(enter)[FLIT.unpack(word)["payload"] >> 16]].append(word)
        for source in enter:
            assert by_source[source] == wanted[source, there], f"from {source} to {there}"


@pytest.mark.medium
@pytest.mark.parametrize(
    "source",
    [
        HOST,
        (1, 1),
        *(pytest.param(node, marks=pytest.mark.slow) for node in [(0, 1), (2, 2), (1, 2)]),
    ],
)
def test_mesh_follows_golden_tree_hop_by_hop(source):
    columns, rows = 3, 2
    m, nodes, edge = build(columns, rows)
    enter, leave = ends(nodes, edge)
    rectangles = [
        (x0, y0, x1, y1)
        for x0, x1 in itertools.combinations_with_replacement(range(columns), 2)
        for y0, y1 in itertools.combinations_with_replacement(range(1, rows + 1), 2)
    ]
    if source != HOST:
        rectangles.append(TO_HOST)

    async def compare(ctx):
        for out in leave.values():
            ctx.set(out.ready, 1)
        for rectangle in rectangles:
            x0, y0, x1, y1 = rectangle
            word = FLIT.pack(kind=1, x0=x0, y0=y0, x1=x1, y1=y1, payload=0x5A)
            ctx.set(Value.cast(enter[source].payload), word)
            ctx.set(enter[source].valid, 1)
            arrived = {}
            for cycle in range(2 * (columns + rows) + 2):
                await ctx.tick()
                ctx.set(enter[source].valid, 0)
                for there, out in leave.items():
                    if ctx.get(out.valid):
                        assert ctx.get(Value.cast(out.payload)) == word
                        assert there not in arrived, f"{rectangle}: twice at {there}"
                        arrived[there] = cycle + 1
            # Two cycles for each router on the path, one in the last, whose core is near.
            hops = tree(source, rectangle).hops
            wanted = {there: 2 * n - (there != HOST) for there, n in hops.items()}
            assert arrived == wanted, rectangle
            assert all(ctx.get(node.idle) for node in nodes.values())

    async def no_stray(ctx):
        await watch(ctx, edge)

    simulate(m, [compare], background=[no_stray], limit=2000)


@pytest.mark.medium
def test_mesh_drops_a_flit_that_would_leave_it_and_tells():
    m, nodes, edge = build(2, 1)
    enter, leave = ends(nodes, edge)
    far = FLIT.pack(kind=0, x0=0, y0=1, x1=5, y1=1, payload=7)
    near = FLIT.pack(kind=0, x0=1, y0=1, x1=1, y1=1, payload=9)
    n_far, told = 40, []

    async def watch(ctx):
        async for _, _, stray in ctx.tick().sample(edge.stray):
            told.append(stray)

    sources = [Source(enter[0, 1], [far] * n_far + [near])]
    # Its other destinations get what is for them, and so does whoever comes behind.
    sinks = [Sink(leave[0, 1], n_far), Sink(leave[1, 1], n_far + 1)]
    simulate(m, [*sources, *sinks], background=[watch], limit=300)
    assert sinks[0].items == [far] * n_far
    assert sinks[1].items == [far] * n_far + [near]
    assert sum(told) == n_far


@pytest.mark.parametrize("places", [[], [(0, 0)], [(0, 1), (2, 1)], [(1, 1)], [(0, 1), (0, 3)]])
def test_mesh_refuses_nodes_that_are_no_rectangle(places):
    nodes = {place: Router(PARAMS) for place in places}
    with pytest.raises(ValueError, match=r"^nodes: must fill columns 0\.\. and rows 1\.\. of a"):
        connect_mesh(Module(), nodes)


def test_mesh_refuses_more_nodes_than_coordinates():
    params = PARAMS.with_(coord_width=1)
    nodes = {(x, 1): Router(params) for x in range(3)}
    with pytest.raises(ValueError, match=r"^node \(2, 1\): must fit in 1 bits a coordinate$"):
        connect_mesh(Module(), nodes)
