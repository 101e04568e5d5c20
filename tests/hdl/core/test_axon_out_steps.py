# SPDX-License-Identifier: Apache-2.0
"""Axon-out where every time step is fired by itself."""

import numpy as np
import pytest

from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import FIRE_OVERHEAD
from stemcore.hdl.core.axon_out import AxonOut
from tests.support.fire_tables import Tables
from tests.support.streams import BY_STALL, Sink, simulate

LATE = get_preset("tiny_late")


def fire_steps(tables, activations, bits, steps, *, stall="free", rng=None):
    """Fires ``steps`` one by one; returns the cycles of ``busy`` of each."""
    dut = AxonOut(LATE)
    expected, busy_cycles = [], []
    for t in steps:
        expected += tables.spikes(activations, bits, [t])
        expected += tables.ends()
    sink = Sink(dut.o, len(expected), stall, rng)

    async def drive(ctx):
        await tables.load(ctx, dut, bits)
        await tables.store(ctx, dut, activations)
        for t in steps:
            busy_cycles.append(await tables.send(ctx, dut, t=t))

    simulate(dut, [drive, sink], limit=100_000)
    assert sink.items == expected
    return busy_cycles


@pytest.mark.medium
@BY_STALL
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_each_time_step_is_fired_by_itself(bits, stall, rng):
    tables = Tables(rng, LATE, 12)
    activations = rng.integers(0, 256, (12, LATE.lanes)) * (rng.random((12, LATE.lanes)) < 0.4)
    fire_steps(tables, activations, bits, range(bits), stall=stall, rng=rng)


def test_silent_time_steps_take_the_promised_cycles(rng):
    tables = Tables(rng, LATE, 9)
    tables.end_list["count"] = 3
    silence = np.zeros((9, LATE.lanes), int)
    assert fire_steps(tables, silence, 8, [0, 7, 3]) == [9 + 3 + FIRE_OVERHEAD] * 3
