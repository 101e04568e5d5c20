# SPDX-License-Identifier: Apache-2.0
"""A board's design but its pins: from bytes on the serial line to a core's register, and back."""

import pytest
from amaranth.sim import Simulator

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.uart_frames import ACCESS, ANSWER, Frame, FrameKind, FrameReader
from stemcore.hdl.chip import Chip
from stemcore.hdl.host.board_top import BoardCore

DIVISOR = 2
SESSION = 7
PARAMS = get_preset("tiny")


def read_frame(name):
    access = ACCESS.pack(address=HOST_REGISTERS[name].offset, data=0)
    return Frame(FrameKind.READ, SESSION, access.to_bytes(8, "little"), sequence=1)


def flits_frame():
    """Asks node (0, 1) for its register N_FIRE."""
    formats = Formats(PARAMS)
    place = {"x0": 0, "y0": 1, "x1": 0, "y1": 1}
    pointer = formats.pointer.pack(memory=Memory.CONTROL, chunk=0, address=Control.N_FIRE)
    words = [
        formats.flit.pack(kind=kind, payload=payload, **place)
        for kind, payload in (
            (Kind.ADDRESS, pointer),
            (Kind.WRITE, 5),
            (Kind.ADDRESS, pointer),
            (Kind.READ, 0),
        )
    ]
    payload = b"".join(word.to_bytes(8, "little") for word in words)
    return Frame(FrameKind.FLITS, SESSION, payload)


@pytest.mark.slow
def test_bytes_on_the_line_reach_registers_and_cores():
    core = BoardCore(
        params=PARAMS,
        columns=1,
        rows=1,
        divisor=DIVISOR,
        chip=Chip(params=PARAMS, columns=1, rows=1),
    )
    reader = FrameReader()
    frames = []

    async def chip_clock(ctx):
        level = 0
        while True:
            level ^= 1
            ctx.set(core.chip_clk, level)
            await ctx.delay(0.21e-6)

    async def receive(ctx):
        while True:
            while ctx.get(core.tx):
                await ctx.tick()
            byte = 0
            await ctx.tick().repeat(DIVISOR // 2)
            for i in range(8):
                await ctx.tick().repeat(DIVISOR)
                byte |= ctx.get(core.tx) << i
            await ctx.tick().repeat(DIVISOR)
            assert ctx.get(core.tx), "stop bit"
            frames.extend(reader.read(bytes([byte])))

    async def send(ctx):
        async def transmit(frame):
            for byte in frame.to_bytes():
                for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                    ctx.set(core.rx, bit)
                    await ctx.tick().repeat(DIVISOR)

        async def answer(kind, flits=0):
            for _ in range(4000):
                found = [f for f in frames if f.kind == kind and len(f.flits()) >= flits]
                if found:
                    return found[0]
                await ctx.tick()
            raise AssertionError(f"no frame of kind {kind} came: {frames}")

        await ctx.tick().repeat(200)  # reset of both sides
        await transmit(Frame(FrameKind.CONNECT, SESSION))
        await answer(FrameKind.CONNECT)
        await transmit(read_frame("IDENTITY"))
        await answer(FrameKind.READ)
        await transmit(flits_frame())
        await answer(FrameKind.FLITS, flits=1)
        assert ctx.get(core.running), "the chip has had something to do"
        assert not ctx.get(core.error) and not ctx.get(core.done)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_process(chip_clock)
    simulator.add_testbench(receive, background=True)
    simulator.add_testbench(send)
    simulator.run()
    assert None not in frames, "a damaged frame came"
    (identity,) = (f for f in frames if f.kind == FrameKind.READ)
    assert ANSWER.unpack(int.from_bytes(identity.payload, "little"))["data"] == IDENTITY
    (flit,) = next(f.flits() for f in frames if f.kind == FrameKind.FLITS and f.flits())
    found = Formats(PARAMS).flit.unpack(flit)
    assert found["kind"] == Kind.DATA and found["payload"] == 5
