# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Value

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import RANGES, Control
from stemcore.golden.spec.spike_range import MARGINS, limit_of, margins_of
from stemcore.hdl.core.ranges import Ranges
from tests.support.streams import simulate


async def write(ctx, dut, address, data, memory=Memory.CONTROL):
    ctx.set(dut.config.memory, int(memory))
    ctx.set(dut.config.write, 1)
    await ctx.tick()
    ctx.set(dut.config.address, address)
    ctx.set(dut.config.data, data)
    ctx.set(dut.config.write, 0)
    await ctx.tick()


def values(rng, params, last):
    """Coordinates of spikes: at the ends of the range, beyond them, anywhere."""
    widths = dict(Formats(params).spike.widths)
    for name in MARGINS:
        for value in (0, last[name], last[name] + 1, (1 << widths[name]) - 1):
            spike = {other: int(rng.integers(last[other] + 1)) for other in MARGINS}
            yield spike | {name: min(value, (1 << widths[name]) - 1)}
    for _ in range(60):
        yield {name: int(rng.integers(1 << widths[name])) for name in MARGINS}


@pytest.mark.parametrize("preset", ["tiny", "sim32", "large"])
def test_spike_is_inside_up_to_the_last_value_of_each_coordinate(preset, rng):
    params = get_preset(preset)
    formats, dut = Formats(params), Ranges(params=params)
    assert formats.range.width <= 32
    step = 1 << limit_of(params, "c").dropped  # channels are compared in units of so many

    async def drive(ctx):
        async def check(axon, spike, wanted):
            ctx.set(Value.cast(dut.spike), formats.spike.pack(axon=axon, **spike))
            await ctx.tick()
            assert ctx.get(dut.inside) == wanted, (axon, spike)

        n_outside = 0
        for axon in range(min(4, params.n_axons)):
            last = {name: int(rng.integers(1 << limit_of(params, name).width)) for name in MARGINS}
            last["c"] = last["c"] * step + step - 1
            if axon == 0:
                last = dict.fromkeys(MARGINS, 0) | {"c": step - 1}
            await write(ctx, dut, RANGES + axon, formats.range.pack(**margins_of(params, last)))
            for spike in values(rng, params, last):
                inside = all(spike[name] <= last[name] for name in MARGINS)
                n_outside += not inside
                await check(axon, spike, inside)
        assert n_outside > 50
        # An axon that listens to nobody; and before any write, whatever it is.
        await write(ctx, dut, RANGES, formats.range.pack(**margins_of(params, None)))
        zero = dict.fromkeys(MARGINS, 0)
        await check(0, zero, False)
        most = {name: (1 << width) - 1 for name, width in formats.spike.widths if name != "axon"}
        await check(params.n_axons - 1, zero, True)
        if params.n_axons > 4:
            await check(params.n_axons - 1, most | {"t": 7}, True)
            await check(params.n_axons - 1, zero | {"t": 8}, False)

    simulate(dut, [drive], limit=2000)


def test_other_registers_and_memories_are_left_alone():
    params = get_preset("tiny")
    formats, dut = Formats(params), Ranges(params=params)
    closed = formats.range.pack(**margins_of(params, None))

    async def drive(ctx):
        await write(ctx, dut, Control.N_SOURCES, closed)
        for memory in Memory:
            if memory is not Memory.CONTROL:
                await write(ctx, dut, RANGES, closed, memory)
        ctx.set(Value.cast(dut.spike), 0)
        assert ctx.get(dut.inside)

    simulate(dut, [drive], limit=100)


@pytest.mark.parametrize("preset", PRESETS)
def test_ranges_convert(preset):
    rtlil.convert(Ranges(params=get_preset(preset)), emit_src=False)
