# SPDX-License-Identifier: Apache-2.0
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import FIRE_CYCLES, FIRE_OVERHEAD
from stemcore.hdl.core.axon_out import AxonOut
from stemcore.hdl.core.plane_scan import PlaneScan
from stemcore.hdl.core.spike_emit import SpikeEmit, job_layout
from tests.support.crossed import crossed
from tests.support.fire_tables import Tables
from tests.support.presets import preset_params
from tests.support.streams import BY_STALL, STALLS, Sink, simulate

TINY = get_preset("tiny")
WIDE = TINY.with_(lanes=16, soma_lanes=2, c_width=8)
WIDEST = TINY.with_(lanes=32, soma_lanes=4, c_width=8)
SHAPES = {"4": TINY, "16": WIDE, "32": WIDEST}  # by their lanes


def fire_all(tables, samples, bits, *, stall="free", rng=None, gap=0, background=()):
    """Fires ``samples``, arrays of activations (words, lanes), back to back.

    Compares every flit and both counters; returns for each sample the cycles of ``busy``, and the
    cycles in which flits were accepted, counted from the command's. ``background``: coroutine
    functions of (ctx, dut).
    """
    params = tables.params
    dut = AxonOut(params)
    expected = [tables.spikes(sample, bits) + tables.ends() for sample in samples]
    sink = Sink(dut.o, sum(map(len, expected)), stall, rng)
    counted = {"cycle": 0, "fired": 0, "sent": 0}
    begun, busy_cycles = [], []

    async def count(ctx):
        while True:
            _, _, fired, sent = await ctx.tick().sample(dut.fired, dut.sent)
            counted["cycle"] += 1
            counted["fired"] += fired
            counted["sent"] += sent

    async def drive(ctx):
        await tables.load(ctx, dut, bits)
        ctx.set(dut.gap, gap)
        for sample in samples:
            await tables.store(ctx, dut, sample)
            begun.append(counted["cycle"])
            n_cycles = await tables.send(ctx, dut)
            assert not ctx.get(dut.o.valid)
            busy_cycles.append(n_cycles)

    async def beside(ctx, part):
        await part(ctx, dut)

    parts = [partial(beside, part=part) for part in background]
    simulate(dut, [drive, sink], limit=200_000, background=[count, *parts])
    assert sink.items == [flit for part in expected for flit in part]
    planes = [word & ((1 << bits) - 1) for word in samples]
    assert counted["fired"] == sum(int(np.bitwise_count(p).sum()) for p in planes)
    assert counted["sent"] == sum(len(tables.spikes(word, bits)) for word in samples)
    accepted, position = [], 0
    for part, start in zip(expected, begun, strict=True):
        cycles = sink.cycles[position : position + len(part)]
        accepted.append([cycle - start for cycle in cycles])
        position += len(part)
    return busy_cycles, accepted


def sparse(rng, params, n, density=0.2):
    """Activations of which a ``density`` part is not zero."""
    values = rng.integers(0, 256, (n, params.lanes))
    return values * (rng.random((n, params.lanes)) < density)


@pytest.mark.medium
@crossed(bits=[2, 5, 8], stall=STALLS, params=SHAPES)
def test_axon_out_sends_every_spike_in_order(bits, stall, params, rng):
    tables = Tables(rng, params, 12)
    samples = [sparse(rng, params, 12), sparse(rng, params, 12, 0.02)]
    fire_all(tables, samples, bits, stall=stall, rng=rng)


@pytest.mark.medium
@pytest.mark.parametrize(
    "gap", [0, 1, 2, 3, *(pytest.param(gap, marks=pytest.mark.slow) for gap in (17, 63))]
)
def test_axon_out_keeps_its_distance(gap, rng):
    tables = Tables(rng, TINY, 6, fewest=1)
    _, accepted = fire_all(tables, [sparse(rng, TINY, 6, 0.5)] * 2, 4, gap=gap)
    for cycles in accepted:
        assert len(cycles) > 1 or gap > 1
        assert all(b - a == max(gap, 1) for a, b in pairwise(cycles))


@pytest.mark.medium
@BY_STALL
def test_axon_out_sends_nothing_while_held(stall, rng):
    tables = Tables(rng, TINY, 10)

    async def hold(ctx, dut):
        while True:
            ctx.set(dut.held, 1)
            for i in range(int(rng.integers(1, 40))):
                *_, valid, ready = await ctx.tick().sample(dut.o.valid, dut.o.ready)
                if valid and ready and i:
                    # The flit that stood there goes; no other takes its place.
                    assert not ctx.get(dut.o.valid)
            ctx.set(dut.held, 0)
            for _ in range(int(rng.integers(1, 20))):
                await ctx.tick()

    samples = [sparse(rng, TINY, 10) for _ in range(2)]
    fire_all(tables, samples, 5, stall=stall, rng=rng, background=[hold])


@pytest.mark.medium
@BY_STALL
def test_axon_out_lends_its_destinations(stall, rng):
    tables = Tables(rng, TINY, 10)
    layout = Formats(TINY).destination
    n_read = 0

    async def borrow(ctx, dut):
        nonlocal n_read
        while not ctx.get(dut.busy):
            await ctx.tick()
        while True:
            address = int(rng.integers(0, TINY.n_destinations))
            ctx.set(dut.borrow, 1)
            ctx.set(dut.borrow_address, address)
            await ctx.tick()
            ctx.set(dut.borrow, 0)
            await ctx.tick()
            got = ctx.get(dut.borrowed.as_value())
            assert got == layout.pack(**tables.destinations[address])
            n_read += 1
            for _ in range(int(rng.integers(1, 4))):
                await ctx.tick()

    samples = [sparse(rng, TINY, 10) for _ in range(3)]
    fire_all(tables, samples, 5, stall=stall, rng=rng, background=[borrow])
    assert n_read > 50


@pytest.mark.medium
@pytest.mark.parametrize("bits", range(2, 9))
def test_axon_out_fires_every_number_of_time_steps(bits, rng):
    tables = Tables(rng, TINY, 7)
    fire_all(tables, [sparse(rng, TINY, 7, 0.6)], bits)


@pytest.mark.medium
@crossed(1, n_words=[1, 5, 64], n_tokens=[0, 1, 5])
def test_axon_out_scans_silence_in_the_promised_cycles(n_words, n_tokens, rng):
    tables = Tables(rng, TINY, n_words)
    tables.end_list["count"] = n_tokens
    silence = np.zeros((n_words, TINY.lanes), int)
    busy, _ = fire_all(tables, [silence, silence], 4)
    less = 0 if n_tokens else 5
    scan = 4 * n_words + n_tokens + FIRE_OVERHEAD - less
    assert busy == [scan, scan]


@pytest.mark.medium
@crossed(1, n_destinations=[1, 3], params=SHAPES)
def test_axon_out_sends_a_flit_every_cycle(n_destinations, params, rng):
    """Single spikes in every plane are the hardest case; many lanes and entries the easiest."""
    tables = Tables(rng, params, 8, most=n_destinations, fewest=n_destinations)
    single = np.zeros((8, params.lanes), int)
    single[np.arange(8), rng.integers(0, params.lanes, 8)] = 255
    dense = rng.integers(0, 256, (8, params.lanes)) | 255 * (rng.random((8, 1)) < 0.5)
    dense[:, 0] = 255
    busy, accepted = fire_all(tables, [single, dense], 4)
    for cycles, n_cycles in zip(accepted, busy, strict=True):
        assert cycles[0] == FIRE_CYCLES
        spikes = cycles[: len(cycles) - tables.end_list["count"]]
        assert spikes == list(range(FIRE_CYCLES, FIRE_CYCLES + len(spikes)))
        assert cycles[-1] == n_cycles - 1


@pytest.mark.medium
def test_axon_out_passes_words_without_destinations_in_a_cycle_each(rng):
    tables = Tables(rng, TINY, 60, most=0)
    full = np.full((60, TINY.lanes), 255)
    busy, _ = fire_all(tables, [full], 8)
    assert busy[0] <= 8 * 60 + FIRE_OVERHEAD + tables.end_list["count"] + 4


@pytest.mark.medium
def test_axon_out_without_words_sends_end(rng):
    tables = Tables(rng, TINY, 0)
    fire_all(tables, [np.zeros((0, TINY.lanes), int)] * 2, 8)


@pytest.mark.medium
@BY_STALL
def test_axon_out_visits_the_whole_tables(stall, rng):
    params = TINY.with_(n_fire_words=16, n_destinations=16)
    tables = Tables(rng, params, 16, most=16)
    tables.fire[3] |= {"start": 0, "count": 16}
    tables.end_list = {"start": 0, "count": 16}
    samples = [sparse(rng, params, 16, 0.3) for _ in range(2)]
    fire_all(tables, samples, 3, stall=stall, rng=rng)


def test_spike_emit_drives_its_stream_from_registers(rng):
    """Neither the job offered nor ``o.ready`` shows on ``o`` within the cycle."""
    dut = SpikeEmit(TINY)

    async def drive(ctx):
        for _ in range(200):
            before = ctx.get(dut.o.valid), ctx.get(dut.o.payload.as_value())
            ctx.set(dut.o.ready, int(rng.integers(0, 2)))
            ctx.set(dut.valid, int(rng.integers(0, 2)))
            job = int.from_bytes(rng.bytes(16), "little") | 1
            ctx.set(dut.job.as_value(), job & ((1 << job_layout(TINY).size) - 1))
            assert before == (ctx.get(dut.o.valid), ctx.get(dut.o.payload.as_value()))
            await ctx.tick()

    simulate(dut, [drive], limit=300)


@pytest.mark.parametrize("preset", preset_params())
@pytest.mark.parametrize("component", [AxonOut, PlaneScan, SpikeEmit])
def test_axon_out_converts(component, preset):
    rtlil.convert(component(get_preset(preset)), emit_src=False)
