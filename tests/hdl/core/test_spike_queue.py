# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The queue of spikes in front of axon-in."""

import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.timing import SPIKE_QUEUE_CYCLES
from stemcore.hdl.core.spike_queue import SpikeQueue
from tests.support.streams import BY_STALL, Sink, Source, simulate, transfer
from tests.support.structure import combinational_outputs

TINY = get_preset("tiny")
WIDTH = Formats(TINY).spike.width


@pytest.mark.medium
@BY_STALL
@pytest.mark.parametrize("n_spikes", [2, 8, 13])
def test_spike_queue_keeps_every_spike_in_order(n_spikes, stall, rng):
    spikes = rng.integers(1 << WIDTH, size=200).tolist()
    queue = SpikeQueue(params=TINY.with_(n_spikes=n_spikes))
    assert transfer(queue, spikes, len(spikes), stall=stall, rng=rng) == spikes


@BY_STALL
def test_spike_queue_drops_what_is_not_to_be_kept(stall, rng):
    spikes = rng.integers(1 << WIDTH, size=200).tolist()
    keep = rng.random(200) < 0.5
    queue = SpikeQueue(params=TINY.with_(n_spikes=8))
    wanted = [spike for spike, kept in zip(spikes, keep, strict=True) if kept]
    sink = Sink(queue.o, len(wanted), stall, rng)

    async def send(ctx):
        for spike, kept in zip(spikes, keep.tolist(), strict=True):
            ctx.set(queue.i.payload.as_value(), spike)
            ctx.set(queue.i.valid, 1)
            ctx.set(queue.keep, kept)
            await ctx.tick().until(queue.i.ready)
        ctx.set(queue.i.valid, 0)

    simulate(queue, [send, sink], limit=5000)
    assert sink.items == wanted


def test_a_queue_of_one_spike_is_refused():
    with pytest.raises(ValueError, match=r"^ChipParams\.n_spikes: must be 2 or more, got 1$"):
        SpikeQueue(params=TINY.with_(n_spikes=1))


def test_spike_queue_passes_a_spike_a_cycle():
    queue = SpikeQueue(params=TINY)
    source, sink = Source(queue.i, list(range(50))), Sink(queue.o, 50)
    simulate(queue, [source, sink], limit=100)
    assert source.cycles == list(range(50))
    assert sink.cycles == list(range(sink.cycles[0], sink.cycles[0] + 50))
    assert sink.cycles[0] == SPIKE_QUEUE_CYCLES


def test_spike_queue_is_idle_only_while_empty():
    queue = SpikeQueue(params=TINY)

    async def fill_and_drain(ctx):
        assert ctx.get(queue.idle) == 1
        ctx.set(queue.i.valid, 1)
        await ctx.tick()
        ctx.set(queue.i.valid, 0)
        for _ in range(5):
            assert ctx.get(queue.idle) == 0
            await ctx.tick()
        ctx.set(queue.o.ready, 1)
        assert ctx.get(queue.o.valid) == 1
        assert ctx.get(queue.idle) == 0
        await ctx.tick()
        assert ctx.get(queue.o.valid) == 0
        assert ctx.get(queue.idle) == 1

    simulate(queue, [fill_and_drain], limit=50)


@pytest.mark.medium
@pytest.mark.parametrize("n_spikes", [2, 8, 13])
def test_spike_queue_says_how_full_it_is(n_spikes, rng):
    queue = SpikeQueue(params=TINY.with_(n_spikes=n_spikes))
    seen = set()

    async def watch(ctx):
        level, levels = 0, [0, 0]
        for _ in range(600):
            filling = rng.random() < 0.5
            for _ in range(int(rng.integers(1, 2 * n_spikes))):
                ctx.set(queue.i.valid, int(filling))
                ctx.set(queue.o.ready, int(not filling))
                *_, i, o = await ctx.tick().sample(
                    queue.i.valid & queue.i.ready, queue.o.valid & queue.o.ready
                )
                is_high, is_low = ctx.get(queue.is_high), ctx.get(queue.is_low)
                assert is_high == (levels[0] >= n_spikes // 2)
                assert is_low == (levels[0] <= n_spikes // 4)
                seen.add((is_high, is_low))
                level += i - o
                levels = [levels[1], level]

    simulate(queue, [watch], limit=20_000)
    assert {(1, 0), (0, 1)} <= seen


@pytest.mark.sim
def test_spike_queue_outputs_depend_on_registers_alone():
    assert combinational_outputs(SpikeQueue(params=TINY), "spike_queue") == set()


@pytest.mark.parametrize("preset", PRESETS)
def test_spike_queue_converts(preset):
    assert "module" in rtlil.convert(SpikeQueue(params=PRESETS[preset]), name="spike_queue")
