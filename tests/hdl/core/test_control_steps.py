# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Control where tokens stand for time steps."""

import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control as Register
from stemcore.hdl.core.control import Control
from tests.support.control_bench import (
    Blocks,
    Stillness,
    configure,
    pulse,
    read,
    send_tokens,
    until,
    write,
)
from tests.support.registers import FOLLOWERS, elaborated
from tests.support.streams import simulate

LATE = get_preset("tiny_late")
FORMATS = Formats(LATE)
START = FORMATS.command.pack(start=1, clear_counters=0, stop=0, clear_errors=0)


async def begin(ctx, dut, *, n_sources=1, n_destinations=1, steps=3, bits=2):
    """Configures and starts."""
    await configure(ctx, dut, n_sources, n_destinations)
    register = FORMATS.integration.pack(steps=steps, multiplier=0, shift=1)
    await write(ctx, dut, Register.INTEGRATION, register)
    assert await read(ctx, dut, Register.INTEGRATION) == register
    mode = {name: 0 for name, _ in FORMATS.mode.widths} | {"bits": bits}
    await write(ctx, dut, Register.MODE, FORMATS.mode.pack(**mode))
    await write(ctx, dut, Register.COMMAND, START)


def test_every_step_is_swept_granted_and_fired_by_itself():
    dut = Control(params=LATE)
    blocks = Blocks(dut)
    updated, fired = [], []

    async def watch(ctx):
        while True:
            _, _, update_pass, step, last, fire, plane = await ctx.tick().sample(
                dut.update_pass, dut.period, dut.is_last_period, dut.fire, dut.plane
            )
            if update_pass:
                updated.append((step, last))
            if fire:
                fired.append(plane)

    async def drive(ctx):
        await begin(ctx, dut, steps=3, bits=2)
        await ctx.tick().repeat(20)
        expected = ["clear_all", "grant"]
        for _ in range(2):
            for _ in range(3):
                await pulse(ctx, dut.end)
                await ctx.tick().repeat(25)
                expected += ["update_pass", "grant"]
                assert blocks.names() == expected
            for _ in range(2):
                await pulse(ctx, dut.credit)
                await ctx.tick().repeat(20)
                expected += ["fire"]
                assert blocks.names() == expected
            assert ctx.get(dut.waiting)
        assert await read(ctx, dut, Register.SAMPLES) == 2

    simulate(dut, [drive], limit=900, background=[blocks, watch])
    assert updated == [(0, 0), (1, 0), (2, 1)] * 2
    assert fired == [0, 1] * 2


def test_a_sample_is_fired_while_the_next_comes_in_but_its_last_step_waits():
    dut = Control(params=LATE)
    blocks = Blocks(dut)

    async def drive(ctx):
        await begin(ctx, dut, steps=2, bits=2)
        await ctx.tick().repeat(20)
        for _ in range(3):
            await pulse(ctx, dut.end)
            await ctx.tick().repeat(30)
        # The first sample, and the second's first step; then its last, which has to wait.
        expected = ["clear_all", "grant", *["update_pass", "grant"] * 3]
        assert blocks.names() == expected
        await pulse(ctx, dut.end)
        await ctx.tick().repeat(30)
        assert blocks.names() == expected
        assert ctx.get(dut.waiting)
        for more in (["fire"], ["fire", "update_pass", "grant"]):
            await pulse(ctx, dut.credit)
            await ctx.tick().repeat(40)
            expected += more
            assert blocks.names() == expected

    simulate(dut, [drive], limit=900, background=[blocks])


def test_steps_are_granted_while_a_plane_is_fired():
    dut = Control(params=LATE)
    blocks = Blocks(dut, busy=lambda name: 150 if name == "fire" else 3)

    async def drive(ctx):
        await begin(ctx, dut, steps=3, bits=2)
        for _ in range(3):
            await ctx.tick().repeat(20)
            await pulse(ctx, dut.end)
        await pulse(ctx, dut.credit)
        await until(ctx, lambda: blocks.names()[-1] == "fire")
        before = len(blocks.names())
        for _ in range(2):
            await pulse(ctx, dut.end)
            await ctx.tick().repeat(20)
        assert blocks.names()[before:] == ["update_pass", "grant"] * 2
        assert ctx.get(dut.fire_busy)

    simulate(dut, [drive], limit=400, background=[blocks])


@pytest.mark.parametrize("busy", [1, 30])
def test_the_last_update_waits_for_the_last_plane(busy):
    dut = Control(params=LATE)
    blocks = Blocks(dut, busy=lambda _: busy)
    states = []

    async def watch(ctx):
        async for _, _, update_pass, last, firing in ctx.tick().sample(
            dut.update_pass, dut.is_last_period, dut.fire_busy
        ):
            if update_pass and last:
                states.append(firing)

    async def drive(ctx):
        await begin(ctx, dut, steps=2, bits=2)
        for n in range(6):
            await until(ctx, lambda n=n: blocks.names().count("grant") == n + 1, limit=400)
            await ctx.tick().repeat(busy + 2)
            await pulse(ctx, dut.end)
            if n >= 2:
                await pulse(ctx, dut.credit)
        await ctx.tick().repeat(6 * busy + 40)

    simulate(dut, [drive], limit=3000, background=[blocks, watch])
    # Update passes end what is accumulated while the planes before are on their way out.
    assert len(states) == 3
    assert not any(states)


def random_life(dut, rng, n_samples):
    """A bench: tokens of time steps at random times, as the protocol permits them."""
    n_sources, n_destinations = (int(n) for n in rng.integers(1, 5, 2))
    steps, bits = (int(n) for n in rng.integers(2, 9, 2))
    blocks = Blocks(dut, busy=lambda _: int(rng.integers(1, 12)))

    async def drive(ctx):
        early = int(rng.integers(n_destinations + 1))
        await pulse(ctx, dut.credit, early)
        await begin(
            ctx, dut, n_sources=n_sources, n_destinations=n_destinations, steps=steps, bits=bits
        )
        await send_tokens(
            ctx,
            blocks,
            rng,
            (n_sources, n_samples * steps),
            (n_destinations, n_samples * bits),
            early=early,
            end_rate=0.5,
            credit_rate=0.4,
        )
        assert await read(ctx, dut, Register.SAMPLES) == n_samples

    return drive, blocks, (steps, bits)


@pytest.mark.medium
def test_random_lives_keep_the_order_of_commands(rng):
    for _ in range(6):
        dut = Control(params=LATE)
        drive, blocks, (steps, bits) = random_life(dut, rng, 4)
        simulate(dut, [drive], limit=9000, background=[blocks])
        names = blocks.names()
        assert names[:2] == ["clear_all", "grant"]
        without = [name for name in names[2:] if name != "fire"]
        assert without == ["update_pass", "grant"] * (4 * steps)
        # Planes of a sample come after its last update pass, and before the last one of the next.
        n_updates = n_fires = 0
        for name in names[2:]:
            n_updates += name == "update_pass"
            n_fires += name == "fire"
            assert n_fires <= bits * (n_updates // steps)
            assert n_fires >= bits * (n_updates // steps - 1)


@pytest.mark.medium
def test_waiting_means_that_no_register_changes(rng):
    stillness = Stillness()
    for _ in range(3):
        dut = Control(params=LATE)
        fragment, registers = elaborated(dut)
        registers = [r for r in registers if r.name not in FOLLOWERS]
        drive, blocks, _ = random_life(dut, rng, 3)
        watch = stillness.watch(dut, registers)
        simulate(fragment, [drive], limit=9000, background=[blocks, watch])
    assert stillness.n_waits > 100
    assert stillness.n_changes > 100


@pytest.mark.medium
@pytest.mark.parametrize("preset", ["tiny_late", "tiny_scaled", "darwin3"])
def test_control_converts(preset):
    rtlil.convert(Control(params=get_preset(preset)), emit_src=False)
