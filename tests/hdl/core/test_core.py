# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A whole core, by flits alone: hand-written programs, exact spikes, honest ``quiet``."""

import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.network.forward import run_network
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST
from stemcore.hdl.core.core import Core
from stemcore.hdl.platforms import PROCESSOR
from stemcore.runtime.host.flits import Host
from tests.support.crossed import crossed
from tests.support.hand_programs import dense_program
from tests.support.player import Player
from tests.support.random_networks import random_images
from tests.support.registers import FOLLOWERS, elaborated
from tests.support.stepped_programs import stepped_core_program
from tests.support.streams import STALLS, simulate

FORMATS = Formats(get_preset("tiny"))
STEPPED = [
    pytest.param(mode, stall, marks=[] if (mode, stall) == ("late", "half") else pytest.mark.slow)
    for mode in ("late", "scaled", "scaled_shift")
    for stall in STALLS
]
VARIANTS = {"exact": {}, "multipliers": {"multipliers": True}, "lookup": {"lookup": True}}
COUNTED = {
    Control.SOPS_LOW: "sops",
    Control.SPIKES_IN: "spikes_in",
    Control.SPIKES_OUT: "spikes_out",
    Control.FIRED: "fired",
    Control.BUSY: "ops",
}


def counter_reads(program):
    """Requests for the registers from SOPS_LOW to FLAGS."""
    n = Control.FLAGS - Control.SOPS_LOW + 1
    return Host(program).read(program.cores[0], Memory.CONTROL, Control.SOPS_LOW, n)


def run_and_compare(program, network, images, *, stall, rng):
    """Runs a core; holds outputs and counters against golden; returns the player."""
    core = Core(params=program.params)
    player = Player(
        program, images, core.i, core.o, reads=counter_reads(program), stall=stall, rng=rng
    )
    simulate(core, [player], limit=40_000)
    expected = run_network(network, images)[program.output]
    np.testing.assert_array_equal(player.protocol.output.values, expected)
    replies = player.protocol.replies
    for register, name in COUNTED.items():
        wanted = int(run_program(program, images).counters[name].sum())
        assert replies[register - Control.SOPS_LOW] == wanted, name
    assert replies[Control.SAMPLES - Control.SOPS_LOW] == len(images)
    return player


@pytest.mark.medium
@crossed(1, variant=VARIANTS, stall=STALLS)
def test_core_fires_and_counts_what_golden_computes(variant, stall, rng):
    program, network = dense_program(3, **variant)
    images = random_images(rng, network, 4)
    player = run_and_compare(program, network, images, stall=stall, rng=rng)
    flags = FORMATS.flags.unpack(player.protocol.replies[Control.FLAGS - Control.SOPS_LOW])
    assert flags == {"overflow": 0, "running": 1}


@pytest.mark.medium
@pytest.mark.parametrize(("mode", "stall"), STEPPED)
def test_core_integrates_per_time_step(mode, stall, rng):
    network, program = stepped_core_program(rng, mode)
    images = random_images(rng, network, 3)
    player = run_and_compare(program, network, images, stall=stall, rng=rng)
    # A CREDIT for the first time step, and one after each; an END after every plane.
    kinds = [FORMATS.flit.unpack(flit)["kind"] for flit in player.flits]
    assert kinds.count(Kind.CREDIT) == 1 + 3 * program.input.bits
    assert kinds.count(Kind.END) == 3 * network.output.bits


@pytest.mark.medium
def test_core_sends_time_steps_in_order_and_everything_to_the_host(rng):
    program, network = dense_program(4)
    images = random_images(rng, network, 3)
    core = Core(params=program.params)
    player = Player(program, images, core.i, core.o)
    simulate(core, [player], limit=20_000)
    kinds, steps = [], []
    for flit in player.flits:
        fields = FORMATS.flit.unpack(flit)
        assert tuple(fields[name] for name in ("x0", "y0", "x1", "y1")) == HOST + HOST
        if fields["kind"] == Kind.SPIKE:
            steps.append(FORMATS.spike.unpack(fields["payload"])["t"])
        else:
            kinds.append(Kind(fields["kind"]))
        if fields["kind"] == Kind.END:
            assert steps == sorted(steps)
            steps = []
    # A CREDIT for the first sample, and one after the update pass of each.
    assert kinds.count(Kind.CREDIT) == 4 and kinds.count(Kind.END) == 3
    assert kinds[0] == Kind.CREDIT


@pytest.mark.slow
def credits_between_spikes(mode, rng):
    """Runs a random program; returns the CREDITs that came between two spikes of a time step."""
    network, program = stepped_core_program(rng, mode)
    core = Core(params=program.params)
    images = random_images(rng, network, 4)
    player = Player(program, images, core.i, core.o, stall="third", rng=rng)
    simulate(core, [player], limit=60_000)
    planes, n_between, n_credits = [[]], 0, 0
    for word in player.flits:
        flit = FORMATS.flit.unpack(word)
        if flit["kind"] == Kind.SPIKE:
            n_between += n_credits if planes[-1] else 0
            planes[-1].append(FORMATS.spike.unpack(flit["payload"])["t"])
        if flit["kind"] == Kind.END:
            planes.append([])
        n_credits = n_credits + 1 if flit["kind"] == Kind.CREDIT else 0
    # Whatever passes them, the spikes of a time step come between two ENDs, and all of them.
    assert planes.pop() == []
    for n, plane in enumerate(planes):
        assert set(plane) <= {n % network.output.bits}
    expected = run_network(network, images)[program.output]
    np.testing.assert_array_equal(player.protocol.output.values, expected)
    return n_between


@pytest.mark.slow
@pytest.mark.parametrize("mode", [pytest.param("late", marks=pytest.mark.long), "scaled"])
def test_credit_passes_spikes_that_wait_and_end_does_not(mode, rng):
    # Few programs fire so much that a CREDIT finds spikes waiting: one of some is enough.
    assert any(credits_between_spikes(mode, rng) for _ in range(12))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "platform"),
    [
        (None, None),
        ("late", None),
        pytest.param("scaled", None, marks=pytest.mark.long),
        (None, PROCESSOR),
    ],
)
def test_quiet_core_changes_no_register_without_a_flit(mode, platform, rng):
    program, network = dense_program(5, lookup=True)
    if mode is not None:
        network, program = stepped_core_program(rng, mode)
    images = random_images(rng, network, 3)
    core = Core(params=program.params)
    fragment, registers = elaborated(core, platform)
    assert len(registers) > 100
    n_quiet = 0

    async def watch(ctx):
        nonlocal n_quiet
        before, still = None, False
        while True:
            _, _, quiet, flit, sends, *state = await ctx.tick().sample(
                core.quiet, core.i.valid, core.o.valid, *registers
            )
            assert not (quiet and sends), "a quiet core must have nothing to send"
            if still:
                pairs = zip(registers, before, state, strict=True)
                changed = {register.name for register, a, b in pairs if a != b} - FOLLOWERS
                assert not changed, f"quiet, and no flit came: {changed} must not change"
            before, still = state, quiet and not flit
            n_quiet += bool(still)

    player = Player(
        program, images, core.i, core.o, reads=counter_reads(program), stall="third", rng=rng
    )
    simulate(fragment, [player], limit=20_000, background=[watch])
    assert player.protocol.samples_done == 3
    assert n_quiet > 100


@pytest.mark.medium
def test_core_is_quiet_at_last_and_not_while_it_works(rng):
    program, network = dense_program(6)
    images = random_images(rng, network, 1)
    core = Core(params=program.params)
    seen = []

    async def watch(ctx):
        async for _, _, quiet, sends in ctx.tick().sample(core.quiet, core.o.valid):
            seen.append((quiet, sends))

    simulate(core, [Player(program, images, core.i, core.o)], limit=20_000, background=[watch])
    assert all(quiet for quiet, _ in seen[-20:])
    assert not any(quiet and sends for quiet, sends in seen)
    # Longest work without a flit from outside: clearing all accumulators.
    assert sum(not quiet for quiet, _ in seen) > program.params.n_acc_words


@pytest.mark.medium
def test_core_converts():
    """By itself; of every preset as part of a node, see test_node.py."""
    rtlil.convert(Core(params=get_preset("tiny")), emit_src=False)
