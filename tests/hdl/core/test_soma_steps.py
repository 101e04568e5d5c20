# SPDX-License-Identifier: Apache-2.0
"""The soma where integration is per time step."""

import numpy as np
import pytest

from stemcore.golden.arithmetic.potentials import update
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.neurons.scaled import Scaled
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import update_cycles
from stemcore.hdl.core.neurons import make_soma
from tests.support.config_bus import write_words
from tests.support.crossed import crossed
from tests.support.soma_bench import (
    Accumulators,
    begin,
    make_constants,
    plain_entries,
    pooled_entries,
    reference,
    update_pass,
)
from tests.support.streams import simulate

LATE, SCALED = get_preset("tiny_late"), get_preset("tiny_scaled")
WIDE = LATE.with_(lanes=16, soma_lanes=2, n_blocks=4)  # eight groups a word
CASES = {
    "late": (LATE, Late(3), 8),
    "late without shift": (LATE, Late(0), 2),
    "late, wide": (WIDE, Late(2), 5),
    "scaled": (SCALED, Scaled(50000, 18), 8),
    "scaled by a shift": (SCALED.with_(multipliers=False), Scaled(1, 3), 4),
}


def run_samples(params, neuron, mode, entries, sums, constant_words):
    """Update passes of time steps, one after the other; ``sums`` (samples, steps, words, lanes).

    Returns the activation words of every update pass, and the cycles of ``busy`` of each.
    """
    dut = make_soma(params)
    n_samples, n_steps = sums.shape[:2]
    accumulators = Accumulators(dut, sums[0, 0].copy())
    results, busy_cycles = [], []

    async def drive(ctx):
        update_words = [Formats(params).update_pass.pack(**entry) for entry in entries]
        await write_words(ctx, dut.config, params, Memory.UPDATE, update_words)
        await write_words(ctx, dut.config, params, Memory.REQUANT, constant_words)
        for name, value in mode.items():
            ctx.set(dut.mode[name], value)
        ctx.set(dut.n_update, len(entries))
        for name, value in neuron.to_fields(n_steps).items():
            ctx.set(dut.constants[name], value)
        await begin(ctx, dut, accumulators)
        for n in range(n_samples):
            for t in range(n_steps):
                accumulators.words[:] = sums[n, t]
                ctx.set(dut.period, t)
                ctx.set(dut.is_last_period, t == n_steps - 1)
                await ctx.tick().repeat(2)
                words, n_cycles = await update_pass(ctx, dut)
                results.append(words)
                busy_cycles.append(n_cycles)
                read = np.zeros(len(accumulators.words), bool)
                read[[entry["acc"] for entry in entries if entry["clear"]]] = True
                assert not accumulators.words[read].any()

    simulate(dut, [drive], limit=200_000, background=[accumulators])
    return results, busy_cycles


@pytest.mark.medium
@crossed(1, case=CASES, pooled=[False, True])
def test_soma_updates_every_step_and_finishes_the_last(case, pooled, rng):
    params, neuron, n_steps = case
    mode = {"bits": 8, "is_signed": int(pooled), "use_lookup": 0, "bias_shift": 1, "is_raw": 0}
    entries = pooled_entries(rng, params, 8) if pooled else plain_entries(rng, params, 20)
    # The last reading of every word clears it, as the compiler writes it.
    last_use = {entry["acc"]: entry for entry in entries}
    for entry in entries:
        entry["clear"] = int(last_use[entry["acc"]] is entry)
    shape = (2, n_steps, params.n_acc_words, params.lanes)
    sums = rng.integers(-(1 << 15), 1 << 15, shape) >> rng.integers(0, 12, shape)
    constants, constant_words = make_constants(rng, params)
    results, cycles = run_samples(params, neuron, mode, entries, sums, constant_words)
    for n in range(2):
        v = None
        for t in range(n_steps):
            v = update(neuron, v, sums[n, t], t, n_steps)
        wanted, _ = reference(params, mode, entries, v.astype(np.int64), constants, [])
        of_sample = results[n * n_steps : (n + 1) * n_steps]
        assert not any(of_sample[:-1])
        np.testing.assert_array_equal(of_sample[-1], wanted)
    assert set(cycles) == {update_cycles(params, len(entries))}
