# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.hdl.core.error_register import ErrorRegister
from tests.support.streams import simulate

TINY = get_preset("tiny")
ERRORS = Formats(TINY).errors
FLIT_CAUSES = [error for error in Error if error not in (Error.OUTSIDE, Error.STANDSTILL)]


async def cycle(ctx, dut, flit=None, *causes):
    """A cycle with a flit at the entry, and errors of it or of others."""
    ctx.set(dut.valid, flit is not None)
    if flit is not None:
        ctx.set(Value.cast(dut.flit), flit)
    ctx.set(dut.causes, sum(1 << cause for cause in causes))
    await ctx.tick()
    ctx.set(dut.valid, 0)
    ctx.set(dut.causes, 0)


def fields(ctx, dut):
    return ERRORS.unpack(ctx.get(Value.cast(dut.errors)))


def test_causes_stay_and_the_first_flit_is_kept(rng):
    dut = ErrorRegister(params=TINY)

    async def drive(ctx):
        ctx.set(dut.x, 3)
        ctx.set(dut.y, 5)
        for _ in range(20):
            causes, n_errors, first = set(), 0, None
            for _ in range(int(rng.integers(1, 30))):
                flit = int(rng.integers(1 << 40)) if rng.random() < 0.6 else None
                now = set()
                if flit is not None and rng.random() < 0.3:
                    now.add(FLIT_CAUSES[rng.integers(len(FLIT_CAUSES))])
                    first = flit if first is None else first
                if rng.random() < 0.1:
                    now.add(Error.OUTSIDE)
                await cycle(ctx, dut, flit, *now)
                causes |= now
                n_errors += bool(now)
            await ctx.tick().repeat(2)
            told = fields(ctx, dut)
            assert {error for error in Error if told[error.name.lower()]} == causes
            assert (told["count"], told["x"], told["y"]) == (n_errors, 3, 5)
            assert ctx.get(dut.alert) == bool(causes)
            if first is not None:
                assert ctx.get(Value.cast(dut.first)) == first
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            told = fields(ctx, dut)
            assert (told["count"], any(told[error.name.lower()] for error in Error)) == (0, False)
            assert not ctx.get(dut.alert) and ctx.get(dut.idle)

    simulate(dut, [drive], limit=2000)


@pytest.mark.parametrize("cause", list(Error))
def test_the_flit_of_every_cause_that_has_one_is_kept(cause):
    dut = ErrorRegister(params=TINY)

    async def drive(ctx):
        await cycle(ctx, dut, 0x12345, cause)
        await cycle(ctx, dut, 0x54321)
        await ctx.tick().repeat(2)
        expected = 0x12345 if cause in FLIT_CAUSES else 0x54321
        assert ctx.get(Value.cast(dut.first)) == expected

    simulate(dut, [drive], limit=20)


def test_a_spike_that_is_kept_is_no_error():
    dut = ErrorRegister(params=TINY)

    async def drive(ctx):
        ctx.set(dut.keep, 1)
        await cycle(ctx, dut, 0x12345, Error.RANGE)
        ctx.set(dut.keep, 0)
        for _ in range(3):
            assert ctx.get(dut.idle) and not ctx.get(dut.alert)
            await ctx.tick()
        assert fields(ctx, dut)["count"] == 0
        ctx.set(dut.keep, 1)
        await cycle(ctx, dut, 0x12345, Error.SPIKE)
        await ctx.tick()
        told = fields(ctx, dut)
        assert (told["count"], told["spike"], told["range"]) == (1, 1, 0)

    simulate(dut, [drive], limit=20)


def test_alert_rises_once_until_errors_are_cleared():
    dut = ErrorRegister(params=TINY)

    async def drive(ctx):
        for _ in range(2):
            assert ctx.get(dut.idle)
            await cycle(ctx, dut, 1, Error.KIND)
            assert not ctx.get(dut.idle)
            await ctx.tick()
            assert ctx.get(dut.alert) and not ctx.get(dut.idle)
            ctx.set(dut.alerted, 1)
            await ctx.tick()
            ctx.set(dut.alerted, 0)
            for _ in range(5):
                await cycle(ctx, dut, 2, Error.TOKEN)
                assert not ctx.get(dut.alert)
            await ctx.tick()
            assert ctx.get(dut.idle)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)

    simulate(dut, [drive], limit=100)


def test_count_saturates():
    dut = ErrorRegister(params=TINY)

    async def drive(ctx):
        for n in range(300):
            await cycle(ctx, dut, n, Error.SPIKE)
        await ctx.tick()
        assert fields(ctx, dut)["count"] == 255
        assert ctx.get(Value.cast(dut.first)) == 0

    simulate(dut, [drive], limit=400)


def test_coordinates_that_do_not_fit_are_refused():
    message = r"^ChipParams\.coord_width: the fields errors must fit 32 bits, got 33 with coord"
    with pytest.raises(ValueError, match=message):
        ErrorRegister(params=TINY.with_(coord_width=7))


@pytest.mark.parametrize("preset", PRESETS)
def test_error_register_converts(preset):
    rtlil.convert(ErrorRegister(params=get_preset(preset)), emit_src=False)
