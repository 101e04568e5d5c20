# SPDX-License-Identifier: Apache-2.0

import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import unsigned

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS
from stemcore.hdl.core.memory import ConfigMemory
from tests.support.config_bus import read_words, write_words
from tests.support.presets import preset_params
from tests.support.streams import simulate

TINY = PRESETS["tiny"]
MEMORIES = [memory for memory in Memory if memory is not Memory.CONTROL]
SAMPLES = [Memory.AXON, Memory.TABLE_C, Memory.WEIGHT, Memory.REQUANT, Memory.LOOKUP]


def _words(rng, memory, n_words):
    width = Formats(TINY).word_width(memory)
    return [int.from_bytes(rng.bytes(32), "little") % (1 << width) for _ in range(n_words)]


@pytest.mark.sim
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("memory", SAMPLES)
def test_memory_reads_back_what_the_bus_wrote(memory, registered, rng):
    _, depth = Formats(TINY).memory(memory)
    depth = min(depth, 64)
    words = _words(rng, memory, depth)
    dut = ConfigMemory(params=TINY, memory=memory, registered=registered)
    got = []

    async def bench(ctx):
        await write_words(ctx, dut.config, TINY, memory, words)
        got.extend(await read_words(ctx, dut.config, dut.read_chunk, TINY, memory, range(depth)))

    simulate(dut, [bench], limit=20_000)
    assert got == words


@pytest.mark.sim
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("memory", SAMPLES)
def test_memory_reads_words_in_one_or_two_cycles_and_holds_them(memory, registered, rng):
    words = _words(rng, memory, 4)
    dut = ConfigMemory(params=TINY, memory=memory, registered=registered)
    got, want = [], []

    async def bench(ctx):
        await write_words(ctx, dut.config, TINY, memory, words)
        held = before = None
        for _ in range(40):
            address, enable = int(rng.integers(4)), int(rng.integers(2))
            ctx.set(dut.address, address)
            ctx.set(dut.enable, enable)
            await ctx.tick()
            before, held = held, words[address] if enable else held
            word = before if registered else held
            if word is not None:
                got.append(ctx.get(dut.data))
                want.append(word)

    simulate(dut, [bench], limit=1000)
    assert got == want


@pytest.mark.sim
def test_memory_ignores_what_is_for_another_memory(rng):
    words = _words(rng, Memory.WEIGHT, 4)
    dut = ConfigMemory(params=TINY, memory=Memory.WEIGHT)
    got = []

    async def bench(ctx):
        await write_words(ctx, dut.config, TINY, Memory.WEIGHT, words)
        for other in Memory:
            if other is not Memory.WEIGHT:
                await write_words(ctx, dut.config, TINY, other, [0xFFFF_FFFF] * 4)
        got.extend(await read_words(ctx, dut.config, dut.read_chunk, TINY, Memory.WEIGHT, range(4)))
        await read_words(ctx, dut.config, dut.read_chunk, TINY, Memory.LOOKUP, range(3))
        got.append(ctx.get(dut.data))

    simulate(dut, [bench], limit=1000)
    assert got == [*words, words[3]]


@pytest.mark.sim
def test_memory_gives_the_old_word_while_it_is_written():
    dut = ConfigMemory(params=TINY, memory=Memory.LOOKUP)
    got = []

    async def bench(ctx):
        await write_words(ctx, dut.config, TINY, Memory.LOOKUP, [11])
        ctx.set(dut.enable, 1)
        await write_words(ctx, dut.config, TINY, Memory.LOOKUP, [22])
        got.append(ctx.get(dut.data))
        await ctx.tick()
        got.append(ctx.get(dut.data))

    simulate(dut, [bench], limit=100)
    assert got == [11, 22]


@pytest.mark.medium
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("preset", preset_params())
def test_memory_converts_with_the_width_of_its_format(preset, memory):
    dut = ConfigMemory(params=PRESETS[preset], memory=memory)
    assert dut.data.shape() == unsigned(Formats(PRESETS[preset]).word_width(memory))
    assert "module" in rtlil.convert(dut)
    if preset == "tiny":
        assert "endmodule" in verilog.convert(dut)


@pytest.mark.sim
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("memory", SAMPLES)
def test_reads_of_other_memories_do_not_disturb_a_memory(memory, registered, rng):
    """The core's words come as if nothing happened while the host reads elsewhere."""
    words = _words(rng, memory, 4)
    dut = ConfigMemory(params=TINY, memory=memory, registered=registered)
    others = [other.value for other in Memory if other is not memory]
    got, want = [], []

    async def bench(ctx):
        await write_words(ctx, dut.config, TINY, memory, words)
        pipeline = [None, None]
        for _ in range(60):
            address = int(rng.integers(4))
            ctx.set(dut.address, address)
            ctx.set(dut.enable, 1)
            ctx.set(dut.config.read, int(rng.integers(2)))
            ctx.set(dut.config.memory, int(rng.choice(others)))
            ctx.set(dut.config.address, int(rng.integers(4)))
            await ctx.tick()
            pipeline = [words[address], pipeline[0]]
            word = pipeline[registered]
            if word is not None:
                got.append(ctx.get(dut.data))
                want.append(word)

    simulate(dut, [bench], limit=20_000)
    assert got == want
