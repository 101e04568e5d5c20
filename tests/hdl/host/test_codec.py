# SPDX-License-Identifier: Apache-2.0
"""The whole codec: its memories, samples that come out, tokens, and flits that pass."""

import json
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.results import Output, Results
from stemcore.golden.spec.codec import CodecMemory, CodecParams
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.hdl.host.codec import Codec
from stemcore.runtime.host.codec_tables import codec_tables, decode_sample, encode_sample
from stemcore.runtime.host.flits import HOST_RECTANGLE, Host
from stemcore.runtime.host.protocol import Recorder
from stemcore.testing import willing
from tests.support.chip_programs import four_core_case

CODEC = CodecParams(n_values=512, n_outputs=64, n_routes=4, n_tokens=8, n_populations=2)
_, PROGRAM, IMAGES = four_core_case(0)
FORMATS, HOST = Formats(PROGRAM.params), Host(PROGRAM)
TABLES = codec_tables(PROGRAM, CODEC)


class Codecs:
    """A codec, what its host sends and gets, and what its chip does."""

    def __init__(self, stall="free", rng=None, codec=CODEC):
        self.dut = Codec(params=PROGRAM.params, codec=codec)
        self.from_host, self.from_chip = [], []
        self.to_host, self.to_chip, self.lasts = [], [], []
        self.refused = self.beyond = 0
        self.work = 0
        self._stall, self._rng = stall, rng

    def run(self, bench):
        """Plays ``bench``; raises where it does not end."""
        simulator, done = Simulator(self.dut), []

        async def play(ctx):
            await bench(ctx)
            done.append(True)

        simulator.add_clock(1e-6)
        for side in (self._host_in, self._chip_out, self._watch):
            simulator.add_testbench(side, background=True)
        simulator.add_testbench(play)
        simulator.run()
        assert done, f"did not end: {self.to_host}, {self.to_chip}"

    async def until(self, ctx, condition, limit=8_000):
        for _ in range(limit):
            if condition():
                return
            await ctx.tick()
        raise AssertionError(f"did not come: {len(self.to_host)}, {len(self.to_chip)}")

    async def _host_in(self, ctx):
        dut, gaps = self.dut, willing(self._stall, self._rng)
        while True:
            if not self.from_host or not next(gaps):
                await ctx.tick()
                continue
            word = self.from_host.pop(0)
            ctx.set(dut.i.payload.as_value(), word & (1 << FORMATS.flit.width) - 1)
            ctx.set(dut.word, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def _chip_out(self, ctx):
        dut, gaps = self.dut, willing(self._stall, self._rng)
        while True:
            if not self.from_chip or not next(gaps):
                await ctx.tick()
                continue
            ctx.set(dut.chip_o.payload.as_value(), self.from_chip.pop(0))
            ctx.set(dut.chip_o.valid, 1)
            await ctx.tick().until(dut.chip_o.ready)
            ctx.set(dut.chip_o.valid, 0)

    async def _watch(self, ctx):
        dut = self.dut
        host, chip = (willing(self._stall, self._rng) for _ in range(2))
        while True:
            ctx.set(dut.work, self.work)
            ctx.set(dut.o.ready, next(host))
            ctx.set(dut.chip_i.ready, next(chip))
            (
                _,
                _,
                up,
                ready,
                word,
                last,
                down,
                taken,
                flit,
                refused,
                beyond,
            ) = await ctx.tick().sample(
                dut.o.valid,
                dut.o.ready,
                dut.o.payload,
                dut.last,
                dut.chip_i.valid,
                dut.chip_i.ready,
                dut.chip_i.payload.as_value(),
                dut.refused,
                dut.beyond,
            )
            self.refused += refused
            self.beyond += beyond
            if up and ready:
                self.to_host.append(word)
                self.lasts.append(last)
            if down and taken:
                self.to_chip.append(flit)


def kinds(flits):
    return [Kind(FORMATS.flit.unpack(flit)["kind"]).name for flit in flits]


def output_flits(values, rng):
    """Spikes of values (C, H, W), every one twice, in any order within a time step; then ENDs."""
    population = PROGRAM.output_populations[0]
    flits = []
    for t, step in enumerate(encode(values, population.bits, population.is_signed)):
        spikes = [
            HOST.flit(
                Kind.SPIKE,
                HOST_RECTANGLE,
                FORMATS.spike.pack(axon=0, t=t, c=int(c), y=int(y), x=int(x)),
            )
            for c, y, x in zip(*np.nonzero(step), strict=True)
        ]
        flits += [spikes[n] for n in rng.permutation(2 * len(spikes)) % max(1, len(spikes))]
    return flits + [HOST.flit(Kind.END, HOST_RECTANGLE)] * PROGRAM.output_ends


def pace(t):
    return HOST.flit(Kind.PACE, HOST_RECTANGLE, FORMATS.spike.pack(axon=0, t=t, c=0, y=0, x=0))


CREDIT = HOST.flit(Kind.CREDIT, HOST_RECTANGLE)


@pytest.mark.medium
def test_memories_are_written_and_read_back(rng):
    codecs = Codecs("half", rng)

    async def bench(ctx):
        codecs.from_host += TABLES.configuration(HOST).tolist()
        for memory, words in TABLES.memories.items():
            for request in TABLES.reads(HOST, memory):
                n = len(codecs.to_host) + 1
                codecs.from_host += request.tolist()
                await codecs.until(ctx, lambda n=n: len(codecs.to_host) == n)
            answers = [FORMATS.flit.unpack(word) for word in codecs.to_host]
            assert [a["payload"] for a in answers] == words.ravel().tolist(), memory
            assert {a["kind"] for a in answers} == {Kind.DATA} and all(codecs.lasts)
            codecs.to_host.clear()

    codecs.run(bench)
    assert not codecs.to_chip and not codecs.refused


@pytest.mark.medium
def test_accesses_that_are_none_are_refused():
    codecs = Codecs()
    write, read = (HOST.flit(kind, HOST_RECTANGLE, 0) for kind in (Kind.WRITE, Kind.READ))

    async def bench(ctx):
        beyond = HOST.pointer(HOST_RECTANGLE, CodecMemory.ROUTE, CODEC.n_routes)
        nothing = HOST.flit(
            Kind.ADDRESS, HOST_RECTANGLE, FORMATS.pointer.pack(memory=9, chunk=0, address=0)
        )
        chunk = HOST.pointer(HOST_RECTANGLE, CodecMemory.TOKEN, 0, 9)
        for place in (beyond, nothing):
            codecs.from_host += [place, write, read]
        codecs.from_host += [chunk, read]
        await codecs.until(ctx, lambda: codecs.refused == 5)
        codecs.work = 1
        codecs.from_host += [HOST.pointer(HOST_RECTANGLE, CodecMemory.TOKEN), write, read]
        await codecs.until(ctx, lambda: codecs.refused == 7)
        await ctx.tick().repeat(20)

    codecs.run(bench)
    assert not codecs.to_host and not codecs.to_chip


@pytest.mark.medium
@pytest.mark.parametrize("work", [0, 1])
def test_other_flits_pass(work, rng):
    """All where the codec is not at work; else those that are neither spikes nor tokens."""
    codecs = Codecs("third", rng)
    into = [Kind.CREDIT, Kind.ADDRESS, Kind.WRITE, Kind.READ] + (
        [] if work else [Kind.SPIKE, Kind.END]
    )
    out = [Kind.DATA, Kind.READ] + ([] if work else [Kind.SPIKE, Kind.END, Kind.CREDIT, Kind.PACE])
    sent = [HOST.flit(kind, (1, 1, 1, 2), 5) for kind in into * 3]
    came = [HOST.flit(kind, HOST_RECTANGLE, 3) for kind in out * 3]

    async def bench(ctx):
        codecs.work = work
        codecs.from_host += sent
        codecs.from_chip += came
        await codecs.until(
            ctx, lambda: len(codecs.to_chip) == len(sent) and len(codecs.to_host) == len(came)
        )

    codecs.run(bench)
    assert codecs.to_chip == sent and codecs.to_host == came


@pytest.mark.medium
@pytest.mark.parametrize("stall", [pytest.param("free", marks=pytest.mark.slow), "third"])
def test_samples_go_in_and_come_out(stall, rng):
    """Two samples: spikes wait for CREDITs and while a destination holds, and END with them."""
    codecs = Codecs(stall, rng)
    parts = [HOST.parts(image) for image in IMAGES[:2]]
    wanted = [flit for sample in parts for part in sample for flit in part.tolist()]
    population = PROGRAM.output_populations[0]
    low, high = population.limits
    values = rng.integers(low, high + 1, (2, *population.shape))
    values[1] = 0
    recorder = Recorder(FORMATS, [population], 2, PROGRAM.output_ends)

    async def bench(ctx):
        codecs.from_host += TABLES.configuration(HOST).tolist()
        await codecs.until(ctx, lambda: not codecs.from_host)
        await ctx.tick().repeat(20)
        codecs.work = 1
        for image in IMAGES[:2]:
            codecs.from_host += encode_sample(PROGRAM, TABLES, image).tolist()
        await ctx.tick().repeat(900)
        assert not codecs.to_chip
        codecs.from_chip += [pace(1)] + [CREDIT] * PROGRAM.input_credits
        await ctx.tick().repeat(600)
        assert not codecs.to_chip
        codecs.from_chip += [pace(0)]
        await codecs.until(ctx, lambda: len(codecs.to_chip) == len(parts[0][0]))
        await ctx.tick().repeat(1500)
        assert codecs.to_chip == parts[0][0].tolist()
        codecs.from_chip += [CREDIT] * PROGRAM.input_credits
        await codecs.until(ctx, lambda: len(codecs.to_chip) == len(wanted))
        assert codecs.to_chip == wanted
        codecs.to_chip.clear()
        for sample in values:
            flits = output_flits(sample, rng)
            codecs.from_chip += flits
            for flit in flits:
                recorder.see(flit)
        n_words = 2 * (1 + TABLES.words_out)
        await codecs.until(ctx, lambda: len(codecs.to_host) == n_words)
        n_credits = 2 * len(PROGRAM.output_cores)
        await codecs.until(ctx, lambda: len(codecs.to_chip) == n_credits)

    codecs.run(bench)
    assert codecs.to_chip == HOST.credits().tolist() * 2
    n = 1 + TABLES.words_out
    for number in range(2):
        words = codecs.to_host[n * number :][:n]
        assert words[0] == TABLES.header
        assert codecs.lasts[n * number :][:n] == [0] * (n - 1) + [1]
        got = decode_sample(PROGRAM, np.array(words[1:], np.uint64)).reshape(population.shape)
        assert np.array_equal(got, values[number]) and np.array_equal(got, recorder.values[number])
    assert not codecs.refused and not codecs.beyond


@pytest.mark.medium
def test_populations_are_told_apart_by_axon(rng):
    """Two layers whose spikes come to the host, one of them after the other in the sample."""
    names = [PROGRAM.layers[0].population.name, PROGRAM.output]
    structure = json.dumps({"tuple": [0, 1]})
    program = replace(
        PROGRAM, results=Results(tuple(Output(name, name) for name in names), structure)
    )
    populations = program.output_populations
    tables = codec_tables(program, replace(CODEC, n_outputs=512))
    recorder = Recorder(FORMATS, populations, 1, program.output_ends)
    flits = []
    for number, population in enumerate(populations):
        low, high = population.limits
        values = rng.integers(low, high + 1, population.shape)
        for t, step in enumerate(encode(values, population.bits, population.is_signed)):
            flits += [
                HOST.flit(
                    Kind.SPIKE,
                    HOST_RECTANGLE,
                    FORMATS.spike.pack(axon=number, t=t, c=int(c), y=int(y), x=int(x)),
                )
                for c, y, x in zip(*np.nonzero(step), strict=True)
            ]
    flits = [flits[n] for n in rng.permutation(len(flits))]
    flits += [HOST.flit(Kind.END, HOST_RECTANGLE)] * program.output_ends
    codecs = Codecs(codec=replace(CODEC, n_outputs=512))

    async def bench(ctx):
        codecs.from_host += tables.configuration(HOST).tolist()
        await codecs.until(ctx, lambda: not codecs.from_host)
        await ctx.tick().repeat(20)
        codecs.work = 1
        # Of a third population, which there is not.
        stray = FORMATS.spike.pack(axon=2, t=0, c=0, y=0, x=0)
        codecs.from_chip += [HOST.flit(Kind.SPIKE, HOST_RECTANGLE, stray), *flits]
        await codecs.until(ctx, lambda: len(codecs.to_host) == 1 + tables.words_out)

    codecs.run(bench)
    for flit in flits:
        recorder.see(flit)
    got = decode_sample(program, np.array(codecs.to_host[1:], np.uint64))
    assert np.array_equal(got, recorder.values.ravel()) and got.any()
    assert len(populations) == 2 and codecs.beyond == 1


@pytest.mark.medium
def test_spikes_of_no_output_are_dropped_and_reported():
    codecs = Codecs()
    population = PROGRAM.output_populations[0]
    inside = {"axon": 0, "t": 0, "c": 0, "y": 0, "x": 0}
    beyond = [
        inside | {"c": population.shape[0]},
        inside | {"y": population.shape[1]},
        inside | {"x": population.shape[2]},
        inside | {"t": population.bits},
    ]

    async def bench(ctx):
        codecs.from_host += TABLES.configuration(HOST).tolist()
        await codecs.until(ctx, lambda: not codecs.from_host)
        await ctx.tick().repeat(20)
        codecs.work = 1
        for fields in beyond:
            codecs.from_chip.append(
                HOST.flit(Kind.SPIKE, HOST_RECTANGLE, FORMATS.spike.pack(**fields))
            )
        codecs.from_chip += [HOST.flit(Kind.END, HOST_RECTANGLE)] * PROGRAM.output_ends
        await codecs.until(ctx, lambda: len(codecs.to_host) == 1 + TABLES.words_out)

    codecs.run(bench)
    assert codecs.beyond == len(beyond) and not any(codecs.to_host[1:])


@pytest.mark.medium
def test_what_was_under_way_is_dropped():
    """Half a sample in, half a sample out: after ``work`` was low both begin anew."""
    codecs = Codecs()
    population = PROGRAM.output_populations[0]
    full = np.full(population.shape, population.limits[1])
    flits = output_flits(full, np.random.default_rng(0))

    async def bench(ctx):
        codecs.from_host += TABLES.configuration(HOST).tolist()
        await codecs.until(ctx, lambda: not codecs.from_host)
        await ctx.tick().repeat(20)
        codecs.work = 1
        words = encode_sample(PROGRAM, TABLES, IMAGES[0]).tolist()
        codecs.from_host += words[:-1]
        codecs.from_chip += [*flits[:-1], CREDIT]
        await codecs.until(ctx, lambda: not codecs.from_host and not codecs.from_chip)
        await ctx.tick().repeat(20)
        codecs.work = 0
        await ctx.tick().repeat(3)
        codecs.work = 1
        codecs.from_host += words
        codecs.from_chip += [CREDIT] * PROGRAM.input_credits
        n = len(HOST.sample(IMAGES[0]))
        await codecs.until(ctx, lambda: len(codecs.to_chip) == n)
        codecs.from_chip += [HOST.flit(Kind.END, HOST_RECTANGLE)] * PROGRAM.output_ends
        await codecs.until(ctx, lambda: len(codecs.to_host) == 1 + TABLES.words_out)

    codecs.run(bench)
    assert codecs.to_chip[: -len(PROGRAM.output_cores)] == HOST.sample(IMAGES[0]).tolist()
    assert not any(codecs.to_host[1:])


def test_the_case_has_what_the_tests_are_about():
    assert kinds(HOST.sample(IMAGES[0])).count("SPIKE") > 10
    assert PROGRAM.input_credits >= 1 and replace(PROGRAM).output_populations
