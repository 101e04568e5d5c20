# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth import Module
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import ALERT, Formats, Kind, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST
from stemcore.hdl.node import LOCAL, Node
from stemcore.runtime.host.errors import core_errors
from tests.support.hand_programs import dense_program
from tests.support.player import Player
from tests.support.random_networks import random_images
from tests.support.registers import FOLLOWERS, elaborated
from tests.support.streams import BY_STALL, Sink, Source, simulate
from tests.support.structure import combinational_outputs

TINY = get_preset("tiny")
MANY_WORDS = 8192  # of weights: from there on a node takes a minute to convert
# Memories become single registers in this analysis: short ones.
SMALL = TINY.with_(
    n_acc_words=8,
    n_weight_words=8,
    n_table_c=4,
    n_table_y=4,
    n_table_x=4,
    n_update=4,
    n_blocks=2,
    n_fire_words=4,
    n_destinations=4,
    n_axons=2,
)
NORTH, EAST, SOUTH, WEST = range(LOCAL)


def strapped(node, at=(0, 1)):
    """The node with its coordinates, as in a mesh."""
    m = Module()
    m.submodules.node = node
    m.d.comb += [node.x.eq(at[0]), node.y.eq(at[1])]
    return m


def outputs(node):
    """Everything a neighbour sees, as values to sample."""
    signals = [node.quiet]
    for port in range(LOCAL):
        signals += [node.o[port].valid, Value.cast(node.o[port].payload), node.i[port].ready]
    return signals


@pytest.mark.medium
@BY_STALL
def test_node_runs_a_program_through_its_north_link(stall, rng):
    program, network = dense_program(8, multipliers=True)
    images = random_images(rng, network, 3)
    node = Node(params=program.params)
    player = Player(program, images, node.i[NORTH], node.o[NORTH], stall=stall, rng=rng)
    handed_over = []

    async def watch(ctx):
        async for _, _, sent, flit in ctx.tick().sample(node.sent, node.sent_flit.as_value()):
            if sent:
                handed_over.append(flit)

    simulate(strapped(node), [player], limit=20_000, background=[watch])
    expected = run_network(network, images)[program.output]
    np.testing.assert_array_equal(player.protocol.output.values, expected)
    # What observers are shown is what the core sends, in order.
    assert handed_over == player.flits


@pytest.mark.slow
def test_quiet_node_changes_nothing_without_a_flit(rng):
    program, network = dense_program(9)
    images = random_images(rng, network, 2)
    node = Node(params=program.params)
    fragment, registers = elaborated(strapped(node))
    assert len(registers) > 200
    visible = outputs(node)
    arrivals = [node.i[port].valid for port in range(LOCAL)]
    quiet_cycles = []

    async def watch(ctx):
        before, still = None, False
        while True:
            _, _, *values = await ctx.tick().sample(*visible, *arrivals, *registers)
            shown, values = values[: len(visible)], values[len(visible) :]
            came, state = any(values[:LOCAL]), values[LOCAL:]
            if still:
                assert shown == before[0], "quiet, and no flit came: outputs must not change"
                pairs = zip(registers, before[1], state, strict=True)
                changed = {register.name for register, a, b in pairs if a != b} - FOLLOWERS
                assert not changed, f"quiet, and no flit came: {changed} must not change"
            assert not (shown[0] and any(shown[1::3])), "a quiet node must have nothing to send"
            before, still = (shown, state), shown[0] and not came
            quiet_cycles.append(still)

    player = Player(program, images, node.i[NORTH], node.o[NORTH], stall="third", rng=rng)
    simulate(fragment, [player], limit=20_000, background=[watch])
    assert player.protocol.samples_done == 2
    assert sum(quiet_cycles) > 100
    assert len(quiet_cycles) - sum(quiet_cycles) > 100


@pytest.mark.medium
@BY_STALL
def test_spikes_that_leave_through_links_are_counted(stall, rng):
    """At (1, 2) of a larger mesh: branches to East, South and the core; one to the West; others."""
    node = Node(params=TINY)
    formats = Formats(TINY)
    spikes = [
        (NORTH, {"x0": 1, "y0": 1, "x1": 1, "y1": 3}, 1),  # South (and Local)
        (WEST, {"x0": 1, "y0": 1, "x1": 3, "y1": 3}, 3),  # North, East, South (and Local)
        (EAST, {"x0": 0, "y0": 2, "x1": 0, "y1": 2}, 1),
    ]
    sent = {port: [] for port in (NORTH, EAST, WEST)}
    for port, rectangle, _ in spikes:
        for kind in [Kind.SPIKE, Kind.DATA, Kind.CREDIT, Kind.SPIKE]:
            # Axon 0 without any loop nest: an empty table.
            sent[port].append(formats.flit.pack(kind=int(kind), **rectangle, payload=0))
    wanted = 2 * sum(n for _, _, n in spikes)
    read = [
        formats.flit.pack(kind=int(kind), x0=1, y0=2, x1=1, y1=2, payload=payload)
        for kind, payload in (
            (
                Kind.ADDRESS,
                formats.pointer.pack(
                    memory=int(Memory.CONTROL), chunk=0, address=int(Control.HOPS)
                ),
            ),
            (Kind.READ, 0),
        )
    ]
    n_out = {NORTH: 4, EAST: 4, SOUTH: 8, WEST: 4}
    sinks = {port: Sink(node.o[port], n, stall, rng) for port, n in n_out.items()}
    # Beside them what only the host may get, and CREDITs that nobody is due, make one alert.
    answer = Sink(node.o[WEST], 6, stall, rng)
    sinks[WEST] = answer

    async def ask(ctx):
        """After everything has passed."""
        await ctx.tick().repeat(200)
        for flit in read:
            ctx.set(node.i[SOUTH].valid, 1)
            ctx.set(Value.cast(node.i[SOUTH].payload), flit)
            await ctx.tick().until(node.i[SOUTH].ready)
        ctx.set(node.i[SOUTH].valid, 0)

    sources = [Source(node.i[port], words, stall, rng) for port, words in sent.items()]
    simulate(strapped(node, (1, 2)), [*sources, *sinks.values(), ask], limit=1000)
    kinds = [formats.flit.unpack(word)["kind"] for word in answer.items]
    assert kinds.count(ALERT) == 1
    reply = formats.flit.unpack(answer.items[-1])
    assert (reply["kind"], reply["payload"]) == (Kind.DATA, wanted)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("x0", "y0", "x1", "y1"), [(1, 2, 0, 1), (0, 1, 0, 0), (*HOST, *HOST), (0, 1, 5, 1)]
)
def test_flit_that_goes_nowhere_or_over_an_edge_is_an_error_of_the_node(x0, y0, x1, y1):
    node = Node(params=TINY)
    formats = Formats(TINY)
    m = strapped(node)
    m.d.comb += [node.edges.eq(1 << EAST), node.o[EAST].ready.eq(1)]
    rectangle = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    word = formats.flit.pack(kind=int(Kind.ADDRESS), **rectangle, payload=0)
    sink = Sink(node.o[NORTH], 1)
    simulate(m, [Source(node.i[NORTH], [word] * 3), sink], limit=60)
    alert = formats.flit.unpack(sink.items[0])
    assert alert["kind"] == ALERT
    errors = core_errors(formats, alert["payload"])
    assert (errors.node, errors.causes) == ((0, 1), (Error.OUTSIDE,))


@pytest.mark.medium
def test_flits_for_others_pass_a_node_by(rng):
    node = Node(params=TINY)
    flit = Formats(TINY).flit
    words = [
        flit.pack(kind=int(rng.integers(7)), x0=x, y0=1, x1=x, y1=1, payload=int(payload))
        for x, payload in zip([3] * 20, rng.integers(1 << 32, size=20), strict=True)
    ]
    sink = Sink(node.o[EAST], 20, "third", rng)
    quiet = []

    async def watch(ctx):
        async for _, _, value, sent in ctx.tick().sample(node.quiet, node.sent):
            quiet.append(value)
            assert not sent

    simulate(strapped(node), [Source(node.i[NORTH], words), sink], limit=300, background=[watch])
    assert sink.items == words
    # Not in the first cycles after reset, nor while flits pass.
    assert quiet[-1] and not any(quiet[4:10])


@pytest.mark.slow
def test_outputs_depend_on_registers_alone():
    assert combinational_outputs(Node(params=SMALL), "node") == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [
        pytest.param(name, marks=pytest.mark.long if params.n_weight_words >= MANY_WORDS else ())
        for name, params in PRESETS.items()
    ],
)
def test_node_converts(preset):
    rtlil.convert(Node(params=get_preset(preset)), emit_src=False)
