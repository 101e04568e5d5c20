# SPDX-License-Identifier: Apache-2.0
"""The two ends of the serial line: whatever happens to its bytes, flits come once and in order."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth import ClockSignal, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.uart_frames import Frame, FrameKind
from stemcore.hdl.host.axi_host import AxiHost
from stemcore.hdl.host.uart_link import UartLink
from stemcore.hdl.host.uart_queues import DEPTH
from stemcore.runtime.host.uart_link import HostLink, SessionLost
from tests.support.uart_line import Damage

PARAMS = get_preset("tiny")
FLIT_WIDTH = Formats(PARAMS).flit.width
RETRY = 700  # cycles; a frame takes 264 bytes and more


class Bench(wiring.Component):
    """The link before the registers, and a chip that sends back what it gets."""

    def __init__(self):
        self.link = UartLink()
        self.host = AxiHost(params=PARAMS, columns=2, rows=2)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link, m.submodules.host = link, host = self.link, self.host
        connect(m, link.registers, host.registers)
        connect(m, link.o, host.i)
        connect(m, host.o, link.i)
        connect(m, host.chip_i, host.chip_o)
        m.d.comb += host.chip_clk.eq(ClockSignal("sync"))
        return m


class Line:
    """The host beside the simulated link; a byte each way takes a cycle."""

    def __init__(self, bench, ctx, to_chip=bytes, to_host=bytes, ready=lambda cycle: True):
        self.link, self.ctx = bench.link, ctx
        self.host = HostLink(retry=RETRY)
        self._damages = to_chip, to_host
        self._ready = ready
        self._bytes = bytearray()
        self.cycle = 0

    def put(self, text):
        self._bytes += self._damages[0](text)

    async def step(self):
        link, ctx = self.link, self.ctx
        if not self._bytes:
            self.put(self.host.outgoing(self.cycle))
        ctx.set(link.rx_valid, bool(self._bytes))
        if self._bytes:
            ctx.set(link.rx_data, self._bytes.pop(0))
        ready = self._ready(self.cycle)
        ctx.set(link.tx.ready, ready)
        _, _, valid, byte = await ctx.tick().sample(link.tx.valid, link.tx.payload)
        if valid and ready:
            self.host.receive(self._damages[1](bytes([byte])), self.cycle)
        self.cycle += 1

    async def until(self, condition, limit=60_000):
        end = self.cycle + limit
        while not condition():
            assert self.cycle < end, "the line hangs"
            await self.step()

    async def returned(self, n):
        await self.until(lambda: len(self.host.received) == n)

    async def connect(self):
        self.host.connect(self.cycle)
        await self.until(lambda: self.host.is_connected)

    async def access(self, kind, name, data=0):
        self.host.access(kind, HOST_REGISTERS[name].offset, data)
        await self.until(lambda: self.host.answer is not None)
        return self.host.answer


def simulate(testbench):
    bench = Bench()
    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    done = []

    async def run(ctx):
        await testbench(bench, ctx)
        done.append(True)

    simulator.add_testbench(run)
    simulator.run()
    assert done


def flits(rng, n):
    """Spikes with random payloads, some of bytes that must be escaped."""
    numbers = [int(rng.integers(1 << 62)) & ((1 << FLIT_WIDTH) - 8) for _ in range(n)]
    special = 0x7E7D7E7D7E7D7E7D & ((1 << FLIT_WIDTH) - 8)
    return [(special if rng.random() < 0.2 else n) | Kind.SPIKE for n in numbers]


@pytest.mark.medium
@pytest.mark.parametrize("rate", [0.0, 0.0003, pytest.param(0.001, marks=pytest.mark.slow)])
def test_flits_return_once_and_in_order(rng, rate):
    wanted = flits(rng, 40)

    async def testbench(bench, ctx):
        damages = Damage(rng, rate), Damage(rng, rate)
        line = Line(bench, ctx, *damages)
        await line.connect()
        line.host.send(wanted)
        # Longer than it should take, so that a flit too many would be seen.
        await line.until(lambda: len(line.host.received) >= len(wanted))
        await line.until(lambda: line.host.n_waiting == 0)
        for _ in range(RETRY):
            await line.step()
        assert list(line.host.received) == wanted
        counts = line.host.counts
        if rate == 0:
            assert counts.damaged_in == counts.asked_again == counts.silences == 0
        else:
            assert damages[0].n + damages[1].n > 0
        assert (await line.access(FrameKind.READ, "FLITS_IN")) == (0, len(wanted))

    simulate(testbench)


@pytest.mark.medium
def test_a_frame_of_each_length_returns(rng):
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        sizes = (1, 2, 30, 31, 32)
        wanted = flits(rng, sum(sizes))
        n_sent = 0
        for n in sizes:
            line.host.send(wanted[n_sent : n_sent + n])
            n_sent += n
            await line.returned(n_sent)
        assert list(line.host.received) == wanted
        assert line.host.counts.silences == 0

    simulate(testbench)


@pytest.mark.long
@pytest.mark.slow
def test_registers_answer_while_the_chip_takes_nothing(rng):
    """A host that loses every flit: all queues fill, and nothing is sent that has no room."""
    wanted = flits(
        rng, 2 * DEPTH + 100
    )  # more than the queues of the link and of the crossing hold

    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        line.host.send(wanted)
        take = line.host._take
        line.host._take = lambda frame, now: take(
            replace(frame, payload=b"") if frame.kind == FrameKind.FLITS else frame, now
        )
        await line.until(lambda: line.host._room == 0)
        assert await line.access(FrameKind.READ, "IDENTITY") == (0, IDENTITY)
        stalled, count = await line.access(FrameKind.READ, "STALLED_OUT")
        assert stalled == 0 and count > 0
        line.host._take = take
        await line.until(lambda: len(line.host.received) == len(wanted))
        assert list(line.host.received) == wanted

    simulate(testbench)


@pytest.mark.medium
def test_a_write_that_is_repeated_happens_once():
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        assert await line.access(FrameKind.WRITE, "WATCHDOG", 14) == (0, 0)
        again = line.host._frame(
            FrameKind.WRITE,
            sequence=line.host._number,
            payload=(HOST_REGISTERS["WATCHDOG"].offset | 3 << 32).to_bytes(8, "little"),
        )
        line.put(again.to_bytes())
        for _ in range(100):
            await line.step()
        assert await line.access(FrameKind.READ, "WATCHDOG") == (0, 14)

    simulate(testbench)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("kind", "address", "data"),
    [
        (FrameKind.READ, 0x002, 0),
        (FrameKind.READ, 0x1000, 0),
        (FrameKind.WRITE, HOST_REGISTERS["IDENTITY"].offset, 1),
        (FrameKind.WRITE, HOST_REGISTERS["RESET"].offset | 1 << 12, 1),
    ],
)
def test_a_refused_access_says_so(kind, address, data):
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        line.host.access(kind, address, data)
        await line.until(lambda: line.host.answer is not None)
        response, data_read = line.host.answer
        assert response != 0 and data_read == 0

    simulate(testbench)


@pytest.mark.medium
def test_a_new_session_begins_with_nothing(rng):
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        line.host.send(flits(rng, 200))
        for _ in range(700):
            await line.step()
        line._bytes.clear()  # amid a frame
        await line.connect()
        assert await line.access(FrameKind.WRITE, "RESET", 1) == (0, 0)
        for _ in range(300):
            await line.step()
        await line.connect()
        for _ in range(300):
            await line.step()
        assert not line.host.received
        wanted = flits(rng, 3)
        line.host.send(wanted)
        await line.until(lambda: len(line.host.received) == 3)
        assert list(line.host.received) == wanted

    simulate(testbench)


@pytest.mark.medium
def test_another_host_is_noticed(rng):
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        await line.connect()
        line.put(Frame(kind=FrameKind.CONNECT, session=77).to_bytes())
        with pytest.raises(SessionLost):
            await line.until(lambda: False)

    simulate(testbench)


@pytest.mark.medium
def test_garbage_does_nothing(rng):
    async def testbench(bench, ctx):
        line = Line(bench, ctx)
        line.put(rng.bytes(1500) + b"\x7d\x7e\x7e\x7d\x7d\x7e")
        await line.connect()
        line.put(rng.bytes(600))
        wanted = flits(rng, 10)
        line.host.send(wanted)
        await line.until(lambda: len(line.host.received) == len(wanted))
        assert list(line.host.received) == wanted
        assert await line.access(FrameKind.READ, "ERRORS") == (0, 0)

    simulate(testbench)


@pytest.mark.medium
def test_bytes_go_out_with_a_stalled_line(rng):
    wanted = flits(rng, 40)

    async def testbench(bench, ctx):
        ready = np.random.default_rng(5)
        line = Line(bench, ctx, ready=lambda cycle: ready.random() < 0.4)
        line.host.retry = 4 * RETRY
        await line.connect()
        line.host.send(wanted)
        await line.until(lambda: len(line.host.received) == len(wanted))
        assert list(line.host.received) == wanted

    simulate(testbench)
