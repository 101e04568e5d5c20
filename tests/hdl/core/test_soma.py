# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import update_cycles
from stemcore.hdl.core.neurons import make_soma
from tests.support.config_bus import read_words, write_words
from tests.support.crossed import crossed
from tests.support.presets import preset_params
from tests.support.soma_bench import (
    Accumulators,
    begin,
    make_constants,
    plain_entries,
    pooled_entries,
    random_words,
    reference,
    update_pass,
)
from tests.support.streams import simulate

TINY = get_preset("tiny")
WIDE = TINY.with_(lanes=16, soma_lanes=2, n_blocks=4)  # eight groups a word


def run_updates(params, mode, entries, words, constant_words, table, n_updates=1):
    """Runs ``n_updates`` update passes back to back.

    Returns the activation words of each, the accumulators, and the cycles of ``busy`` of each.
    """
    dut = make_soma(params)
    accumulators = Accumulators(dut, words.copy())
    update_words = [Formats(params).update_pass.pack(**entry) for entry in entries]
    results, busy_cycles = [], []

    async def drive(ctx):
        for memory, contents in (
            (Memory.UPDATE, update_words),
            (Memory.REQUANT, constant_words),
            (Memory.LOOKUP, table),
        ):
            await write_words(ctx, dut.config, params, memory, contents)
            picked = range(0, len(contents), max(1, len(contents) // 3))
            got = await read_words(ctx, dut.config, dut.read_chunk, params, memory, picked)
            assert got == [contents[i] for i in picked]
        for name, value in mode.items():
            ctx.set(dut.mode[name], value)
        ctx.set(dut.n_update, len(entries))
        ctx.set(dut.is_last_period, 1)
        await begin(ctx, dut, accumulators)
        for _ in range(n_updates):
            taken, n_cycles = await update_pass(ctx, dut)
            results.append(np.array(taken))
            busy_cycles.append(n_cycles)

    simulate(dut, [drive], limit=200_000, background=[accumulators])
    assert accumulators.n_reads == n_updates * len(entries)
    return results, accumulators.words, busy_cycles


@pytest.mark.medium
@crossed(
    shape={"tiny": TINY, "wide": WIDE},
    pooled=[False, True],
    is_signed=[0, 1],
    use_lookup=[0, 1],
    multipliers=[True, False],
)
def test_soma_matches_golden(shape, pooled, is_signed, use_lookup, multipliers, rng):
    params = shape.with_(multipliers=multipliers)
    mode = {
        "bits": int(rng.integers(2, 9)),
        "is_signed": is_signed,
        "use_lookup": use_lookup,
        "bias_shift": int(rng.integers(0, 4)),
    }
    entries = pooled_entries(rng, params, 16) if pooled else plain_entries(rng, params, 40)
    words = random_words(rng, params)
    constants, constant_words = make_constants(rng, params)
    table = [int(v) for v in rng.integers(0, 256, 256)]
    results, left, cycles = run_updates(params, mode, entries, words, constant_words, table)
    wanted, wanted_left = reference(params, mode, entries, words, constants, table)
    np.testing.assert_array_equal(results[0], wanted)
    np.testing.assert_array_equal(left, wanted_left)
    assert cycles == [update_cycles(params, len(entries))]


@pytest.mark.medium
@crossed(1, n_update=[1, 2, 5], shape={"tiny": TINY, "wide": WIDE})
def test_soma_updates_again_in_the_promised_cycles(n_update, shape, rng):
    mode = {"bits": 8, "is_signed": 0, "use_lookup": 0, "bias_shift": 0}
    entries = plain_entries(rng, shape, n_update)
    for entry in entries:
        entry["clear"] = 0
    words = random_words(rng, shape)
    constants, constant_words = make_constants(rng, shape)
    results, left, cycles = run_updates(shape, mode, entries, words, constant_words, [], 3)
    wanted, _ = reference(shape, mode, entries, words, constants, [])
    for got in results:
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(left, words)
    assert cycles == [update_cycles(shape, n_update)] * 3


@pytest.mark.medium
def test_soma_fills_the_update_table(rng):
    mode = {"bits": 4, "is_signed": 1, "use_lookup": 0, "bias_shift": 1}
    params = TINY.with_(n_update=64)
    entries = plain_entries(rng, params, 64)
    words = random_words(rng, params)
    constants, constant_words = make_constants(rng, params)
    results, left, cycles = run_updates(params, mode, entries, words, constant_words, [])
    wanted, _ = reference(params, mode, entries, words, constants, [])
    np.testing.assert_array_equal(results[0], wanted)
    assert not left.any()
    assert cycles == [update_cycles(params, 64)]


@pytest.mark.medium
def test_soma_without_entries_writes_nothing():
    mode = {"bits": 8, "is_signed": 0, "use_lookup": 0, "bias_shift": 0}
    words = np.ones((TINY.n_acc_words, TINY.lanes), int)
    results, left, cycles = run_updates(TINY, mode, [], words, [], [], 2)
    assert [len(result) for result in results] == [0, 0]
    assert left.all()
    assert cycles == [1, 1]


@pytest.mark.medium
@pytest.mark.parametrize("n_acc_words", [16, 23])
def test_soma_clears_all_words(n_acc_words, rng):
    params = TINY.with_(n_acc_words=n_acc_words)
    dut = make_soma(params)
    accumulators = Accumulators(dut, random_words(rng, params) | 1)
    busy_cycles = []

    async def drive(ctx):
        for _ in range(2):
            ctx.set(dut.clear_all, 1)
            await ctx.tick()
            ctx.set(dut.clear_all, 0)
            n_cycles = 0
            while ctx.get(dut.busy):
                n_cycles += 1
                await ctx.tick()
            busy_cycles.append(n_cycles)

    simulate(dut, [drive], limit=1000, background=[accumulators])
    assert not accumulators.words.any()
    assert accumulators.n_reads == 0
    assert busy_cycles == [n_acc_words] * 2


@pytest.mark.medium
@pytest.mark.parametrize("multipliers", [True, False])
@pytest.mark.parametrize("preset", preset_params())
def test_soma_converts(preset, multipliers):
    rtlil.convert(make_soma(get_preset(preset).with_(multipliers=multipliers)), emit_src=False)
