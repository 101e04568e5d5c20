# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.errors import watchdog_cycles
from stemcore.hdl.core.watchdog import Watchdog
from tests.support.streams import simulate


async def expiries(ctx, dut, n):
    """The cycles of the next ``n`` in which it tells."""
    seen = []
    for cycle in range(n):
        if ctx.get(dut.expired):
            seen.append(cycle)
        await ctx.tick()
    return seen


@pytest.mark.parametrize("setting", [1, 2, 4])
def test_watchdog_tells_once_after_as_many_cycles_as_it_is_set_to(setting):
    dut, patience = Watchdog(), watchdog_cycles(setting)

    async def drive(ctx):
        ctx.set(dut.setting, setting)
        ctx.set(dut.due, 1)
        assert await expiries(ctx, dut, 4 * patience) == [patience]
        assert ctx.get(dut.idle)
        # Progress makes it count again, from the beginning.
        for kind in range(len(dut.progress)):
            ctx.set(dut.progress, 1 << kind)
            await ctx.tick()
            ctx.set(dut.progress, 0)
            assert await expiries(ctx, dut, patience) == []
        assert await expiries(ctx, dut, 2 * patience) == [1]

    simulate(dut, [drive], limit=16 * patience + 20)


@pytest.mark.parametrize("quiet", ["off", "nothing due"])
def test_watchdog_is_still_where_nothing_is_due_or_it_is_off(quiet):
    dut = Watchdog()

    async def drive(ctx):
        ctx.set(dut.setting, 0 if quiet == "off" else 1)
        ctx.set(dut.due, quiet == "off")
        assert await expiries(ctx, dut, 100) == []
        assert ctx.get(dut.idle)

    simulate(dut, [drive], limit=200)


def test_settings_double_the_cycles():
    assert [watchdog_cycles(n) for n in (1, 2, 15)] == [32, 64, 524_288]


def test_watchdog_converts():
    rtlil.convert(Watchdog(), emit_src=False)
