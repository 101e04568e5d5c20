# SPDX-License-Identifier: Apache-2.0
"""A host on AXI for benches of ``axi_chip``, by the bus models of cocotbext-axi."""

from typing import Any, NamedTuple

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from cocotbext.axi.axil_channels import (
    AxiLiteARSource,
    AxiLiteARTransaction,
    AxiLiteAWSource,
    AxiLiteAWTransaction,
    AxiLiteBSink,
    AxiLiteRSink,
    AxiLiteWSource,
    AxiLiteWTransaction,
)

from stemcore.golden.spec.host_registers import HOST_REGISTERS, REGISTER_BYTES
from stemcore.testing import Stall, willing

OKAY, SLVERR = 0, 2
HOST_PERIOD_NS = 10
LIMIT_US = 200  # that any access or packet may take
WORD_BYTES = 8


class Answer(NamedTuple):
    """Of a read."""

    response: int
    data: int


def pauses(stall: Stall, rng: np.random.Generator):
    """Whether a side of a channel pauses, cycle by cycle."""
    return (not w for w in willing(stall, rng))


class AxiRig:
    """Channels of the three buses of a bench, each with its own pauses.

    Channels are driven one by one, so that strobes and addresses may be any, and write address and
    write data come in any order. ``stalls``: a pattern for each channel, in the order AW, W, B, AR,
    R, source, sink; those that are not named never pause.

    Attributes
    ----------
    source, sink : AxiStreamSource, AxiStreamSink
    """

    def __init__(self, dut: Any, rng: np.random.Generator, *, stalls=()):
        self.dut = dut
        # By Python: under Verilator its edges are seen before what they do, as the models ask for.
        Clock(dut.aclk, HOST_PERIOD_NS, unit="ns").start()
        self.bytes = len(dut.s_axil_wstrb)
        bus = AxiLiteBus.from_prefix(dut, "s_axil")
        clocked = {"clock": dut.aclk, "reset": dut.aresetn, "reset_active_level": False}
        self._aw = AxiLiteAWSource(bus.write.aw, **clocked)
        self._w = AxiLiteWSource(bus.write.w, **clocked)
        self._b = AxiLiteBSink(bus.write.b, **clocked)
        self._ar = AxiLiteARSource(bus.read.ar, **clocked)
        self._r = AxiLiteRSink(bus.read.r, **clocked)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), **clocked)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), **clocked)
        self.channels = (self._aw, self._w, self._b, self._ar, self._r, self.source, self.sink)
        for channel, stall in zip(self.channels, stalls, strict=False):
            channel.set_pause_generator(pauses(stall, rng))

    async def reset(self, cycles: int = 10) -> None:
        """Of the host side, which resets the chip; waits until that is over."""
        self.dut.aresetn.value = 0
        for _ in range(cycles):
            await RisingEdge(self.dut.aclk)
        for channel in self.channels:
            channel.clear()  # what nobody has asked for since
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)
        await self.reset_over()

    async def reset_over(self) -> None:
        """Reads STATUS until no reset is under way."""
        for _ in range(100):
            if not (await self.fields("STATUS"))["resetting"]:
                return
        raise AssertionError("STATUS: resetting must end within 100 reads")

    # Registers by address -----------------------------------------------------------------------
    async def write(self, address: int, data: int, strobe: int | None = None) -> int:
        """The response; strobes are all unless stated."""
        strobe = (1 << self.bytes) - 1 if strobe is None else strobe
        await self._aw.send(AxiLiteAWTransaction(awaddr=address, awprot=0))
        await self._w.send(AxiLiteWTransaction(wdata=data, wstrb=strobe))
        answer = await with_timeout(self._b.recv(), LIMIT_US, "us")
        return int(answer.bresp)

    async def read(self, address: int) -> Answer:
        """Response and the whole of RDATA."""
        await self._ar.send(AxiLiteARTransaction(araddr=address, arprot=0))
        answer = await with_timeout(self._r.recv(), LIMIT_US, "us")
        return Answer(int(answer.rresp), int(answer.rdata))

    # Registers by name --------------------------------------------------------------------------
    def _shift(self, offset: int) -> int:
        return offset % self.bytes

    async def put(self, name: str, value: int) -> int:
        """Writes one register as a driver would; the response."""
        offset = HOST_REGISTERS[name].offset
        at = self._shift(offset)
        strobe = ((1 << REGISTER_BYTES) - 1) << at
        return await self.write(offset, value << 8 * at, strobe)

    async def put_fields(self, name: str, **values: int) -> int:
        """The response; fields that are not named are zero."""
        layout = HOST_REGISTERS[name].layout
        return await self.put(name, layout.pack(**{f: values.get(f, 0) for f, _ in layout.widths}))

    async def get(self, name: str) -> int:
        """Reads one register, which must be answered OKAY."""
        offset = HOST_REGISTERS[name].offset
        answer = await self.read(offset)
        assert answer.response == OKAY, f"{name}: must be read, got {answer}"
        return answer.data >> 8 * self._shift(offset) & 0xFFFFFFFF

    async def fields(self, name: str) -> dict[str, int]:
        """Fields of a register."""
        return HOST_REGISTERS[name].layout.unpack(await self.get(name))

    # Flits --------------------------------------------------------------------------------------
    async def send(self, flits) -> None:
        """One packet, of words of 64 bits."""
        data = b"".join(int(flit).to_bytes(WORD_BYTES, "little") for flit in flits)
        await self.source.send(AxiStreamFrame(data))

    async def receive(self) -> list[int]:
        """Flits of one packet."""
        frame = await with_timeout(self.sink.recv(compact=False), LIMIT_US, "us")
        data = bytes(frame.tdata)
        assert all(frame.tkeep), "TKEEP must be all ones"
        assert len(data) % WORD_BYTES == 0, "a packet must end at the end of a word"
        return [
            int.from_bytes(data[n : n + WORD_BYTES], "little")
            for n in range(0, len(data), WORD_BYTES)
        ]
