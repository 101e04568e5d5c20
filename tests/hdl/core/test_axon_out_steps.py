# SPDX-License-Identifier: Apache-2.0
"""Axon-out where every time step is fired by itself."""

import numpy as np
import pytest

from golden.fields import Formats, Kind, Memory
from golden.params import get_preset
from hdl.core.axon_out import AxonOut
from tests.support.config_bus import write_words
from tests.support.fire_tables import Tables
from tests.support.streams import STALLS, Sink, simulate

LATE = get_preset("tiny_late")


def fire_steps(tables, activations, bits, steps, *, stall="free", rng=None):
    """Fires ``steps`` one by one, a grant in between; returns the cycles of ``busy`` of each."""
    formats, dut = Formats(LATE), AxonOut(LATE)
    expected, busy_cycles = [], []
    for t in steps:
        expected += tables.spikes(activations, bits, [t])
        expected += tables.tokens(Kind.END, tables.end_list)
        expected += tables.tokens(Kind.CREDIT, tables.credit_list)
    sink = Sink(dut.o, len(expected), stall, rng)

    async def command(ctx, strobe):
        ctx.set(strobe, 1)
        await ctx.tick()
        ctx.set(strobe, 0)
        # Only the cycle of the command counts.
        ctx.set(dut.t, 7)
        n_cycles = 0
        while ctx.get(dut.busy):
            n_cycles += 1
            await ctx.tick()
        return n_cycles

    async def drive(ctx):
        for memory, layout, contents in (
            (Memory.FIRE, formats.fire, tables.fire),
            (Memory.DESTINATION, formats.destination, tables.destinations),
        ):
            words = [layout.pack(**entry) for entry in contents]
            await write_words(ctx, dut.config, LATE, memory, words)
        ctx.set(dut.n_fire, len(tables.fire))
        ctx.set(dut.bits, bits)
        ctx.set(dut.end_list.as_value(), formats.token_list.pack(**tables.end_list))
        ctx.set(dut.credit_list.as_value(), formats.token_list.pack(**tables.credit_list))
        ctx.set(dut.word_valid, 1)
        for address, word in enumerate(activations):
            ctx.set(dut.word_address, address)
            for lane, value in enumerate(word):
                ctx.set(dut.word[lane], int(value))
            await ctx.tick()
        ctx.set(dut.word_valid, 0)
        for t in steps:
            ctx.set(dut.t, t)
            busy_cycles.append(await command(ctx, dut.fire))
            await command(ctx, dut.grant)

    simulate(dut, [drive, sink], limit=100_000)
    assert sink.items == expected
    return busy_cycles


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_each_time_step_is_fired_by_itself(bits, stall, rng):
    tables = Tables(rng, LATE, 12)
    activations = rng.integers(0, 256, (12, LATE.lanes)) * (rng.random((12, LATE.lanes)) < 0.4)
    fire_steps(tables, activations, bits, range(bits), stall=stall, rng=rng)


def test_silent_time_steps_take_the_promised_cycles(rng):
    tables = Tables(rng, LATE, 9)
    tables.end_list["count"] = 3
    silence = np.zeros((9, LATE.lanes), int)
    assert fire_steps(tables, silence, 8, [0, 7, 3]) == [9 + 3 + 10] * 3
