# SPDX-License-Identifier: Apache-2.0
"""The encoder's flits are those that the host would send, one by one."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.program.program import InputRoute
from stemcore.golden.spec.codec import CodecFormats, CodecMemory, CodecParams, CodecRegister
from stemcore.golden.spec.fields import Formats
from stemcore.hdl.host.spike_encoder import SpikeEncoder
from stemcore.runtime.host.codec_tables import codec_tables, encode_sample
from stemcore.runtime.host.flits import Host
from stemcore.testing import willing
from tests.support.chip_programs import four_core_case, stepped_case
from tests.support.streams import BY_STALL, Sink, simulate

CODEC = CodecParams(n_values=512, n_outputs=512, n_routes=16, n_tokens=16, n_populations=2)


def packed(chunks):
    """One integer from the chunks of a word."""
    return sum(int(chunk) << 32 * n for n, chunk in enumerate(chunks))


class Around:
    """What lies around an encoder: tables, tokens that permit, and the host's words.

    Attributes
    ----------
    ends : list[int]
        For each time that the ENDs were asked for, the flits sent before.
    """

    def __init__(self, dut, program, images, sink, stall, rng):
        self.dut, self.sink = dut, sink
        formats = CodecFormats(program.params, CODEC)
        tables = codec_tables(program, CODEC)
        self.routes = [packed(word) for word in tables.memories[CodecMemory.ROUTE]]
        control = tables.memories[CodecMemory.CONTROL]
        self.sample = int(control[CodecRegister.SAMPLE, 0])
        assert formats.registers[CodecRegister.SAMPLE].unpack(self.sample)["routes"] == len(
            self.routes
        )
        self.samples = [encode_sample(program, tables, image)[1:].tolist() for image in images]
        self.ends, self.begun = [], 0
        self._stall, self._rng = stall, rng

    async def table(self, ctx):
        while True:
            _, _, address = await ctx.tick().sample(self.dut.route_address)
            if address < len(self.routes):
                ctx.set(self.dut.route.as_value(), self.routes[address])

    async def tokens(self, ctx):
        dut, permits, sends = self.dut, willing(self._stall, self._rng), willing("half", self._rng)
        while True:
            ctx.set(dut.may_begin, next(permits))
            ctx.set(dut.may_send, self._stall == "free" or next(sends))
            asks = ctx.get(dut.send_ends)
            ctx.set(dut.ends_sent, asks)
            self.begun += ctx.get(dut.begins)
            if asks:
                self.ends.append(len(self.sink.items))
            await ctx.tick()

    async def drive(self, ctx):
        dut, gaps = self.dut, willing(self._stall, self._rng)
        ctx.set(dut.registers.as_value(), self.sample)
        for words in self.samples:
            while not ctx.get(dut.idle):
                await ctx.tick()
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            for word in words:
                while not next(gaps):
                    await ctx.tick()
                assert ctx.get(dut.receiving)
                ctx.set(dut.word, word)
                ctx.set(dut.word_valid, 1)
                await ctx.tick()
                ctx.set(dut.word_valid, 0)
        while not ctx.get(dut.idle):
            await ctx.tick()


def encoded(program, images, stall, rng):
    """Flits by token period, from the simulator; and how often permission was used up."""
    host = Host(program)
    wanted = [part for image in images for part in host.parts(image)]
    n_ends = len(program.input_end)
    n_spikes = sum(len(part) - n_ends for part in wanted)
    dut = SpikeEncoder(formats=CodecFormats(program.params, CODEC))
    sink = Sink(dut.o, n_spikes, stall, rng)
    if stall != "free":
        sink = Withdrawing(dut.o, n_spikes, stall, rng)
    around = Around(dut, program, images, sink, stall, rng)
    simulate(
        dut,
        [around, sink],
        background=[around.table, around.tokens],
        limit=20_000 + 400 * len(images) * sum(map(int, program.input.shape)) + 100 * n_spikes,
    )
    starts = [0, *around.ends]
    got = [sink.items[a:b] for a, b in zip(starts, around.ends, strict=False)]
    return got, [part[: len(part) - n_ends].tolist() for part in wanted], around.begun


class Withdrawing(Sink):
    """A sink of a source that may withdraw what it offers, where a destination asks to hold."""

    async def drive(self, ctx):
        stream = self.stream
        while len(self.items) < self.n_items:
            ready = next(self._willing)
            ctx.set(stream.ready, ready)
            _, _, valid, item = await ctx.tick().sample(stream.valid, stream.payload.as_value())
            if valid and ready:
                self.items.append(item)
        ctx.set(stream.ready, 0)


@pytest.mark.medium
@BY_STALL
@pytest.mark.parametrize("number", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_flits_of_random_networks_are_the_hosts(number, stall, rng):
    _, program, images = four_core_case(number)
    images = np.concatenate([images[:2], np.zeros_like(images[:1])])
    got, wanted, begun = encoded(program, images, stall, rng)
    assert got == wanted and begun == len(wanted) == len(images)


@pytest.mark.slow
def test_flits_of_time_steps_are_the_hosts(rng):
    """A period is a time step: ENDs and permission with each."""
    _, program, images = stepped_case("late")
    got, wanted, begun = encoded(program, images, "free", rng)
    assert got == wanted and begun == len(wanted) > len(images)


def with_routes(program, rng, n_routes):
    """The program with other routes: boxes that overlap, differ in size, and miss channels."""
    channels, height, width = program.input.shape
    routes = []
    for number in range(n_routes):
        (c0, c1), (y0, y1), (x0, x1) = (
            sorted(int(v) for v in rng.integers(0, size, 2)) for size in (channels, height, width)
        )
        sent = np.zeros((channels, y1 - y0 + 1, x1 - x0 + 1), bool)
        sent[c0 : c1 + 1] = True
        axon = int(rng.integers(program.params.n_axons))
        nodes = (number % 2, 1, 1, 2)
        routes.append(InputRoute((y0, y1), (x0, x1), nodes, axon, 0, np.packbits(sent).tobytes()))
    return replace(program, input_routes=tuple(routes))


@pytest.mark.medium
@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_routes_take_turns_as_the_hosts_do(density, rng):
    _, program, _ = four_core_case(1)
    program = with_routes(program, rng, 7)
    shape = (2, *program.input.shape)
    low, high = program.input.limits
    images = np.where(rng.random(shape) < density, rng.integers(low, high + 1, shape), 0)
    got, wanted, _ = encoded(program, images, "free", rng)
    assert got == wanted


@pytest.mark.slow
def test_a_route_that_is_no_box_sends_the_same_spikes(rng):
    """In its boxes' turns; no spike leaves its time step."""
    _, program, _ = four_core_case(1)
    channels, height, width = program.input.shape
    hole = np.ones((channels, height, width), bool)
    hole[:, 1:3, 1:3] = hole[0, -1, -1] = False
    mask = np.packbits(hole).tobytes()
    route = InputRoute((0, height - 1), (0, width - 1), (1, 1, 1, 2), 1, 0, mask)
    program = replace(program, input_routes=(program.input_routes[0], route))
    low, high = program.input.limits
    image = rng.integers(low, high + 1, (1, *program.input.shape))
    (got,), (wanted,), _ = encoded(program, image, "free", rng)
    spike, flit = Formats(program.params).spike, Formats(program.params).flit
    steps = [spike.unpack(flit.unpack(word)["payload"])["t"] for word in got]
    assert steps == sorted(steps) and sorted(got) == sorted(wanted) and got != wanted


@pytest.mark.slow
def test_the_same_box_twice_goes_by_the_order_of_routes(rng):
    """All turns are equal."""
    _, program, images = four_core_case(0)
    _, y, x = program.input.shape
    routes = tuple(
        InputRoute((0, y - 1), (0, x - 1), (0, 1, 0, 1), axon, 0, None) for axon in (2, 0, 1)
    )
    got, wanted, _ = encoded(replace(program, input_routes=routes), images[:1], "free", rng)
    assert got == wanted and len(got[0]) % 3 == 0 < len(got[0])
