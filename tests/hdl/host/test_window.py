# SPDX-License-Identifier: Apache-2.0
"""Flits by reads and writes: order, room, refusals, CLEAR."""

import pytest
from amaranth.sim import Simulator

from stemcore.golden.spec.host_window import WINDOW_DEPTH, WINDOW_REGISTERS
from stemcore.hdl.host.window import StreamWindow

SLVERR = 2


class Window:
    """The window beside a host that makes one access after another, and streams that are looped."""

    def __init__(self, dut, ctx):
        self.dut, self.ctx = dut, ctx

    async def write(self, name, value):
        bus, ctx = self.dut.bus, self.ctx
        for signal, set_to in (
            (bus.awaddr, WINDOW_REGISTERS[name].offset),
            (bus.wdata, value),
            (bus.wstrb, 15),
            (bus.awvalid, 1),
            (bus.wvalid, 1),
            (bus.bready, 1),
        ):
            ctx.set(signal, set_to)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        (response,) = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
        return response

    async def read(self, name):
        bus, ctx = self.dut.bus, self.ctx
        ctx.set(bus.araddr, WINDOW_REGISTERS[name].offset)
        ctx.set(bus.arvalid, 1)
        ctx.set(bus.rready, 1)
        await ctx.tick()
        ctx.set(bus.arvalid, 0)
        (word,) = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
        return word

    async def levels(self):
        return WINDOW_REGISTERS["LEVELS"].layout.unpack(await self.read("LEVELS"))

    async def send(self, flit):
        await self.write("FLIT_LOW", flit & 0xFFFF_FFFF)
        await self.write("FLIT_HIGH", flit >> 32)
        return await self.write("SEND", 1)

    async def take(self):
        flit = await self.read("HEAD_LOW") | await self.read("HEAD_HIGH") << 32
        assert await self.write("TAKE", 1) == 0
        return flit


def simulate(testbench):
    dut = StreamWindow()
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    done = []

    async def run(ctx):
        await testbench(Window(dut, ctx), dut, ctx)
        done.append(True)

    simulator.add_testbench(run)
    simulator.run()
    assert done


@pytest.mark.medium
def test_flits_go_through_in_order(rng):
    flits = [int(rng.integers(1 << 63)) for _ in range(8)] + [0, (1 << 64) - 1]

    async def testbench(window, dut, ctx):
        for flit in flits:
            assert await window.send(flit) == 0
        got = []
        while ctx.get(dut.o.tvalid):
            ctx.set(dut.o.tready, 1)
            _, _, word, keep, last = await ctx.tick().sample(dut.o.tdata, dut.o.tkeep, dut.o.tlast)
            assert (keep, last) == (0xFF, 1)
            got.append(word)
        assert got == flits
        for flit in flits:
            ctx.set(dut.i.tdata, flit)
            ctx.set(dut.i.tvalid, 1)
            await ctx.tick().until(dut.i.tready)
        ctx.set(dut.i.tvalid, 0)
        await ctx.tick().repeat(3)
        assert (await window.levels())["waiting"] == len(flits)
        assert [await window.take() for _ in flits] == flits
        assert (await window.levels())["waiting"] == 0

    simulate(testbench)


@pytest.mark.medium
def test_a_full_window_and_an_empty_one_refuse():
    async def testbench(window, dut, ctx):
        assert await window.write("TAKE", 1) == SLVERR
        for n in range(WINDOW_DEPTH):
            assert (await window.levels())["room"] == WINDOW_DEPTH - n
            assert await window.send(n) == 0
        assert (await window.levels())["room"] == 0
        assert await window.send(1) == SLVERR
        assert await window.write("HEAD_LOW", 1) == SLVERR

    simulate(testbench)


def test_clear_drops_what_waits_in_both_directions():
    async def testbench(window, dut, ctx):
        for n in (5, 6):
            await window.send(n)
        ctx.set(dut.i.tvalid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.i.tvalid, 0)
        assert await window.write("CLEAR", 1) == 0
        assert await window.levels() == {"room": WINDOW_DEPTH, "waiting": 0}
        assert not ctx.get(dut.o.tvalid)
        assert await window.send(7) == 0
        await ctx.tick().repeat(2)
        assert ctx.get(dut.o.tdata) == 7 and ctx.get(dut.o.tvalid)

    simulate(testbench)
