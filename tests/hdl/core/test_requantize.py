# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.arithmetic.fixed import MAX_SHIFT, digit, requantize
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.integers import limits
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH, MULTIPLIER_WIDTH
from stemcore.hdl.core.requantize import Requantize
from tests.support.config_bus import read_words, write_words
from tests.support.crossed import crossed
from tests.support.presets import preset_params
from tests.support.streams import simulate

TINY = get_preset("tiny")
N_TABLE = 1 << ACTIVATION_WIDTH


def run_groups(params, mode, z, bias, multiplier, shift, *, table=None, gaps=None, read_back=()):
    """Activations, in their 8 bits, of groups (n, soma_lanes), and the cycles from in to out.

    ``gaps[i]`` idle cycles come before group ``i``.
    """
    dut = Requantize(params)
    lane_format, results, entered, left, table_read = Formats(params).requant_lane, [], [], [], []

    async def drive(ctx):
        if table is not None:
            await write_words(ctx, dut.config, params, Memory.LOOKUP, table)
            table_read.extend(
                await read_words(ctx, dut.config, dut.read_chunk, params, Memory.LOOKUP, read_back)
            )
        for name, value in mode.items():
            ctx.set(dut.mode[name], value)
        await ctx.tick()
        for i in range(len(z)):
            for _ in range(0 if gaps is None else gaps[i]):
                await ctx.tick()
            word = 0
            for lane in range(params.soma_lanes):
                ctx.set(dut.z[lane], int(z[i, lane]))
                word |= lane_format.pack(
                    bias=int(bias[i, lane]) % (1 << BIAS_WIDTH),
                    multiplier=int(multiplier[i, lane]),
                    shift=int(shift[i, lane]),
                ) << (lane * lane_format.width)
            ctx.set(dut.constants.as_value(), word)
            ctx.set(dut.z_valid, 1)
            await ctx.tick()
            ctx.set(dut.z_valid, 0)
            ctx.set(dut.constants.as_value(), 0)

    async def watch(ctx):
        cycle = 0
        while len(results) < len(z):
            _, _, enters, leaves, q = await ctx.tick().sample(dut.z_valid, dut.q_valid, dut.q)
            if enters:
                entered.append(cycle)
            if leaves:
                results.append([q[lane] for lane in range(params.soma_lanes)])
                left.append(cycle)
            cycle += 1

    simulate(dut, [drive, watch], limit=100_000)
    return np.array(results), np.array(left) - np.array(entered), dut.latency, table_read


def expected(z, bias, multiplier, shift, mode, table=None):
    """The same from golden."""
    q = requantize(
        z, bias, multiplier, shift, mode["bias_shift"], mode["bits"], bool(mode["is_signed"])
    )
    if mode["use_lookup"]:
        q = np.array(table)[q % (1 << mode["bits"])]
    return q % (1 << ACTIVATION_WIDTH)


def raw(z, bias, multiplier, shift, mode):
    """The same in raw mode."""
    return digit(z, bias, multiplier, shift, mode["bias_shift"])


def interesting(rng, params, n, mode):
    """Constants and potentials such that most results lie around the representable range."""
    shape = (n, params.soma_lanes)
    rail = 1 << (params.acc_width - 1)
    multiplier = rng.integers(1 << 15, 1 << 16, shape)
    multiplier[rng.random(shape) < 0.3] = 1
    multiplier[rng.random(shape) < 0.02] = 0
    if not params.multipliers:
        multiplier[:] = 1
    z = rng.integers(-rail, rail, shape) >> rng.integers(0, params.acc_width, shape)
    z[rng.random(shape) < 0.05] = -rail
    z[rng.random(shape) < 0.05] = rail - 1
    bias = rng.integers(-(1 << 31), 1 << 31, shape) >> rng.integers(0, BIAS_WIDTH, shape)
    product = multiplier * z + (bias << (8 * mode["bias_shift"]))
    magnitude = np.array([[abs(int(p)).bit_length() for p in row] for row in product])
    shift = magnitude - mode["bits"] + rng.integers(-3, 4, shape)
    return z, bias, multiplier, np.clip(shift, 0, MAX_SHIFT)


def tie_cases(rng, params, n, mode):
    """Potentials whose quotient lies a half, or just beside it, from an integer near a limit."""
    shape = (n, params.soma_lanes)
    low, high = limits(mode["bits"], bool(mode["is_signed"]))
    target = rng.integers(low - 3, high + 4, shape)
    room = params.acc_width - 2 - mode["bits"]
    shift = rng.integers(0, room + 1, shape)
    half = (1 << shift) >> 1
    z = (target << shift) + half + rng.integers(-1, 2, shape)
    return z, np.zeros(shape, int), np.ones(shape, int), shift


@pytest.mark.medium
@crossed(1, is_signed=[0, 1], bias_shift=range(4), multipliers=[True, False])
def test_requantize_matches_golden(is_signed, bias_shift, multipliers, rng):
    params = TINY.with_(multipliers=multipliers, acc_width=int(rng.choice([16, 18, 19, 24, 32])))
    for bits in (2, 5, 8):
        mode = {"bits": bits, "is_signed": is_signed, "use_lookup": 0, "bias_shift": bias_shift}
        cases = [
            np.concatenate(parts)
            for parts in zip(
                interesting(rng, params, 200, mode), tie_cases(rng, params, 200, mode), strict=True
            )
        ]
        got, latency, promised, _ = run_groups(params, mode, *cases)
        assert set(latency) == {promised}
        np.testing.assert_array_equal(got, expected(*cases, mode))


@pytest.mark.medium
@crossed(1, bits=range(2, 9), is_signed=[0, 1])
def test_requantize_rounds_ties_to_even_and_clamps(bits, is_signed, rng):
    mode = {"bits": bits, "is_signed": is_signed, "use_lookup": 0, "bias_shift": 0}
    cases = tie_cases(rng, TINY, 300, mode)
    got, *_ = run_groups(TINY, mode, *cases)
    np.testing.assert_array_equal(got, expected(*cases, mode))


@pytest.mark.medium
@pytest.mark.parametrize("is_signed", [0, 1])
def test_requantize_takes_every_shift_and_the_rails(is_signed):
    mode = {"bits": 8, "is_signed": is_signed, "use_lookup": 0, "bias_shift": 2}
    rail = 1 << (TINY.acc_width - 1)
    corners = [
        (z, bias, multiplier, shift)
        for z in (-rail, -1, 0, 1, rail - 1)
        for bias in (-(1 << 31), -1, 0, 1, (1 << 31) - 1)
        for multiplier in (0, 1, (1 << MULTIPLIER_WIDTH) - 1)
        for shift in (0, 1, 7, 8, 15, 16, 17, 24, 31, 32, 33, 39, 40, 46, 47)
    ]
    corners += [corners[0]] * (-len(corners) % TINY.soma_lanes)
    columns = np.array(corners).reshape(-1, TINY.soma_lanes, 4).transpose(2, 0, 1)
    got, *_ = run_groups(TINY, mode, *columns)
    np.testing.assert_array_equal(got, expected(*columns, mode))


@pytest.mark.medium
def test_requantize_wraps_the_product_at_48_bits(rng):
    mode = {"bits": 8, "is_signed": 1, "use_lookup": 0, "bias_shift": 3}
    shape = (200, TINY.soma_lanes)
    bias = rng.integers(-(1 << 31), 1 << 31, shape)
    cases = (np.zeros(shape, int), bias, np.ones(shape, int), rng.integers(38, 48, shape))
    assert np.any(np.abs(bias << 24) >= 1 << 47)
    got, *_ = run_groups(TINY, mode, *cases)
    np.testing.assert_array_equal(got, expected(*cases, mode))


@pytest.mark.medium
@pytest.mark.parametrize("is_signed", [0, 1])
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_requantize_looks_activations_up(bits, is_signed, rng):
    mode = {"bits": bits, "is_signed": is_signed, "use_lookup": 1, "bias_shift": 1}
    table = [int(v) for v in rng.integers(0, N_TABLE, N_TABLE)]
    cases = interesting(rng, TINY, 300, mode)
    got, _, _, table_read = run_groups(
        TINY, mode, *cases, table=table, read_back=range(0, N_TABLE, 37)
    )
    assert table_read == table[::37]
    np.testing.assert_array_equal(got, expected(*cases, mode, table))


@pytest.mark.medium
@crossed(1, bias_shift=range(4), multipliers=[True, False])
def test_requantize_gives_bytes_in_raw_mode(bias_shift, multipliers, rng):
    params = TINY.with_(multipliers=multipliers, acc_width=int(rng.choice([16, 24, 32])))
    mode = {
        "bits": 8,
        "is_signed": 0,
        "use_lookup": 0,
        "bias_shift": bias_shift,
        "is_raw": 1,
        "gap": 0,
    }
    z, bias, multiplier, _ = interesting(rng, params, 300, mode)
    shift = rng.integers(0, MAX_SHIFT + 1, z.shape)
    shift[::2] = rng.integers(0, 6, z[::2].shape) * 8
    cases = (z, bias, multiplier, shift)
    got, latency, promised, _ = run_groups(params, mode, *cases)
    assert set(latency) == {promised}
    np.testing.assert_array_equal(got, raw(*cases, mode))


@pytest.mark.medium
def test_requantize_keeps_its_latency_over_gaps(rng):
    mode = {"bits": 8, "is_signed": 0, "use_lookup": 0, "bias_shift": 0}
    cases = interesting(rng, TINY, 200, mode)
    got, latency, promised, _ = run_groups(TINY, mode, *cases, gaps=rng.integers(0, 4, 200))
    assert set(latency) == {promised}
    np.testing.assert_array_equal(got, expected(*cases, mode))


@pytest.mark.medium
@pytest.mark.parametrize("multipliers", [True, False])
@pytest.mark.parametrize("preset", preset_params())
def test_requantize_converts(preset, multipliers):
    rtlil.convert(Requantize(get_preset(preset).with_(multipliers=multipliers)), emit_src=False)
