# SPDX-License-Identifier: Apache-2.0
"""Bursts become the WRITE flits that they stand for; all else passes."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from stemcore.golden.spec.bursts import COUNT_WIDTH, MIN_COUNT, burst_words
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.host.write_bursts import WriteBursts
from stemcore.runtime.host.bursts import as_bursts
from stemcore.testing import seeded, willing
from tests.support.streams import BY_STALL

PARAMS = get_preset("tiny")
FORMATS = Formats(PARAMS)
MASK = (1 << FORMATS.flit.width) - 1


def flit(kind, payload=0, node=(1, 1, 1, 1)):
    names = ("x0", "y0", "x1", "y1")
    rectangle = dict(zip(names, node, strict=True))
    return FORMATS.flit.pack(kind=int(kind), **rectangle, payload=payload)


def writes(n, rng, node=(1, 1, 1, 1)):
    return [flit(Kind.WRITE, int(rng.integers(1 << 32)), node) for _ in range(n)]


def header(count, node=(1, 1, 1, 1), beyond=0):
    return flit(Kind.DATA, count | beyond << COUNT_WIDTH, node)


def play(words, stall="free", rng=None, *, passes=(), clears=()):
    """What comes of ``words``: flits, and the numbers of words that were said to be beyond.

    ``passes``: numbers of words that are a codec's; ``clears``: those before which ``clear`` comes.
    """
    dut, got, beyond = WriteBursts(params=PARAMS), [], []
    done = []

    async def drive(ctx):
        gaps = willing(stall, rng)
        for number, word in enumerate(words):
            while not next(gaps):
                await ctx.tick()
            if number in clears:
                ctx.set(dut.clear, 1)
                await ctx.tick()
                ctx.set(dut.clear, 0)
            ctx.set(dut.i.payload.as_value(), word & MASK)
            ctx.set(dut.word, word)
            ctx.set(dut.passes, number in passes)
            ctx.set(dut.i.valid, 1)
            assert word <= MASK or ctx.get(dut.raw) or number in passes, "the stream drops it"
            taken = False
            while not taken:
                _, _, taken, wrong = await ctx.tick().sample(dut.i.ready, dut.beyond)
                if wrong:
                    beyond.append(number)
            ctx.set(dut.i.valid, 0)
        for _ in range(5):
            await ctx.tick()
        done.append(ctx.get(dut.raw))

    async def take(ctx):
        gaps = willing(stall, rng)
        while True:
            ctx.set(dut.o.ready, next(gaps))
            _, _, moves, payload = await ctx.tick().sample(
                dut.o.valid & dut.o.ready, dut.o.payload.as_value()
            )
            if moves:
                got.append(payload)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(take, background=True)
    simulator.run()
    return got, beyond, done[0]


@BY_STALL
def test_bursts_of_a_host_become_its_flits(stall):
    rng = seeded("write bursts", stall)
    flits = [flit(Kind.ADDRESS, 5)]
    for n in (1, MIN_COUNT - 1, MIN_COUNT, 0, MIN_COUNT + 1, 33):
        node = (int(rng.integers(4)), 1, 3, int(rng.integers(1, 4)))
        flits += [*writes(n, rng, node), flit(Kind.SPIKE, int(rng.integers(1 << 30)), node)]
        flits += writes(n, rng) + writes(n, rng, (2, 2, 2, 2)) + [flit(Kind.READ)]
    words = as_bursts(np.array(flits, np.uint64), FORMATS).tolist()
    assert len(words) < len(flits)
    assert play(words, stall, rng) == (flits, [], 0)


def test_a_burst_takes_as_many_cycles_as_its_flits():
    """Two flits of a word go in two cycles, one after the other, whoever offers what comes next."""
    rng = seeded("write bursts", "cycles")
    flits = writes(9, rng)
    words = as_bursts(np.array(flits, np.uint64), FORMATS).tolist()
    dut, moves = WriteBursts(params=PARAMS), []

    async def drive(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for word in words:
            ctx.set(dut.i.payload.as_value(), word & MASK)
            ctx.set(dut.word, word)
            taken = False
            while not taken:
                _, _, taken, valid = await ctx.tick().sample(dut.i.ready, dut.o.valid)
                moves.append(valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert moves == [0] + [1] * len(flits), "the header's cycle, then a flit in each"


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_short_and_empty_bursts(count):
    rng = seeded("write bursts", count)
    flits = writes(count, rng, (0, 1, 2, 3))
    data = [f >> (MASK.bit_length() - 32) for f in flits] + [0xFFFF_FFFF]
    pairs = [data[n] | data[n + 1] << 32 for n in range(0, count, 2)]
    words = [header(count, (0, 1, 2, 3)), *pairs, flit(Kind.END)]
    assert len(words) - 1 == burst_words(count)
    assert play(words) == ([*flits, flit(Kind.END)], [], 0)


@pytest.mark.parametrize("beyond", [1, 1 << 15, 0xFFFF])
def test_a_header_with_bits_beyond_its_count_is_dropped_and_seen(beyond):
    words = [flit(Kind.END), header(4, beyond=beyond), flit(Kind.END), flit(Kind.SPIKE, 7)]
    assert play(words) == ([words[0], *words[2:]], [1], 0)


def test_words_of_a_codec_pass_whatever_they_are():
    words = [header(2), flit(Kind.END), 0xFFFF_0000_FFFF_0003]
    assert play(words, passes={0, 1, 2}) == ([word & MASK for word in words], [], 0)


def test_what_is_left_of_a_burst_goes_with_clear():
    """In the middle of a word, too: what comes next is a flit, and the next burst is whole."""
    rng = seeded("write bursts", "clear")
    flits = writes(5, rng)
    words = as_bursts(np.array(flits, np.uint64), FORMATS).tolist()
    again = [*words[:2], flit(Kind.END), *words]
    assert play(again, clears={2}) == ([*flits[:2], flit(Kind.END), *flits], [], 0)


def test_a_burst_that_is_not_whole_waits():
    """``raw`` says so, in STATUS of a host side."""
    got, _, waits = play([header(4), 0])
    assert (len(got), waits) == (2, 1)
