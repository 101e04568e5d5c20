# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Bits of the serial line, and the host side behind its two pins."""

import pytest
from amaranth import ClockSignal, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.uart_frames import FrameKind
from stemcore.hdl.host.uart import UartReceiver, UartTransmitter
from stemcore.hdl.host.uart_host import UartHost
from stemcore.runtime.host.uart_link import HostLink


def waveform(text, divisor):
    """Levels of a line, cycle by cycle, for a bit of ``divisor`` cycles (any number)."""
    bits = [1]
    for byte in text:
        bits += [0, *((byte >> n) & 1 for n in range(8)), 1]
    bits += [1, 1]
    return [bits[int(cycle / divisor)] for cycle in range(int(len(bits) * divisor))]


def received(levels, divisor):
    receiver = UartReceiver(divisor=divisor)
    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    got = bytearray()

    async def drive(ctx):
        for level in levels + [1] * 4:
            ctx.set(receiver.rx, level)
            _, _, valid, byte = await ctx.tick().sample(receiver.valid, receiver.data)
            if valid:
                got.append(byte)

    simulator.add_testbench(drive)
    simulator.run()
    return bytes(got)


@pytest.mark.parametrize(
    ("divisor", "error"), [(2, 0), (3, 0), (8, -0.02), (8, 0.02), (25, -0.03), (25, 0.03)]
)
def test_receiver_takes_bytes_of_a_clock_that_is_not_its_own(rng, divisor, error):
    text = rng.bytes(12) + b"\x00\xff\x55"
    assert received(waveform(text, divisor * (1 + error)), divisor) == text


def test_receiver_drops_what_is_no_byte():
    short = [1] * 8 + [0] * 2 + [1] * 80  # a start bit that is over too soon
    held = [0] * 300 + [1] * 80  # a line that was held low: no stop bit
    assert received(short + held + waveform(b"\xa5", 8), 8) == b"\xa5"


@pytest.mark.parametrize("divisor", [2, 3, 8])
def test_transmitter_sends_without_pauses(rng, divisor):
    transmitter = UartTransmitter(divisor=divisor)
    simulator = Simulator(transmitter)
    simulator.add_clock(1e-6)
    text, levels = rng.bytes(6), []

    async def send(ctx):
        for byte in text:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)
        await ctx.tick().repeat(20 * divisor)

    async def watch(ctx):
        async for _, _, level in ctx.tick().sample(transmitter.tx):
            levels.append(level)

    simulator.add_testbench(send)
    simulator.add_process(watch)
    simulator.run()
    start = levels.index(0) - divisor
    wanted = waveform(text, divisor)[max(0, -start) :]
    got = levels[max(0, start) :]
    n = min(len(wanted), len(got))
    assert n >= (10 * len(text) + 1) * divisor and got[:n] == wanted[:n]


@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
def test_a_divisor_that_is_too_small_is_refused(part):
    with pytest.raises(ValueError, match=r"^Uart\w+\.divisor: a bit must last 2 cycles .* got 1$"):
        part(divisor=1)


class Board(wiring.Component):
    """The host side and a chip that sends back what it gets, of one clock."""

    def __init__(self, divisor):
        self.host = UartHost(params=get_preset("tiny"), columns=2, rows=2, divisor=divisor)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self.host
        m.d.comb += host.chip_clk.eq(ClockSignal("sync"))
        connect(m, host.chip_i, host.chip_o)
        return m


@pytest.mark.medium
def test_the_host_side_answers_at_its_pins():
    divisor = 2
    board = Board(divisor)
    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    link = HostLink(retry=30_000)
    answers = []

    async def host(ctx):
        levels, bits = [], None
        cycle = 0

        async def until(condition):
            nonlocal levels, bits, cycle
            while not condition():
                assert cycle < 20_000
                if not levels and (text := link.outgoing(cycle)):
                    levels = waveform(text, divisor)
                ctx.set(board.host.rx, levels.pop(0) if levels else 1)
                _, _, tx = await ctx.tick().sample(board.host.tx)
                cycle += 1
                if bits is None and not tx:
                    bits = []
                if bits is not None:
                    bits.append(tx)
                    if len(bits) == 10 * divisor:
                        byte = sum(bits[(n + 1) * divisor] << n for n in range(8))
                        link.receive(bytes([byte]), cycle)
                        bits = None

        link.connect(cycle)
        await until(lambda: link.is_connected)
        link.access(FrameKind.READ, HOST_REGISTERS["IDENTITY"].offset)
        await until(lambda: link.answer is not None)
        answers.append(link.answer)
        link.send([0x7D7E7D7E0 + 1])
        await until(lambda: link.received)
        answers.append(link.received[0])

    simulator.add_testbench(host)
    simulator.run()
    assert answers == [(0, IDENTITY), 0x7D7E7D7E1]
    assert link.counts.damaged_in == link.counts.silences == 0
