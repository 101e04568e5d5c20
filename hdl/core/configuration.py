# SPDX-License-Identifier: Apache-2.0
"""The configuration unit: ADDRESS, WRITE and READ flits become accesses to the memories."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import HOST
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..layouts import ConfigBus, flit_stream, struct

BLOCKS = {
    "control": (Memory.CONTROL,),
    "axon_in": (Memory.AXON, Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X),
    "dendrite": (Memory.WEIGHT,),
    "soma": (Memory.UPDATE, Memory.REQUANT, Memory.LOOKUP),
    "axon_out": (Memory.FIRE, Memory.DESTINATION),
}


class Configuration(wiring.Component):
    """Keeps the pointer that ADDRESS sets; WRITE and READ move it to the next chunk.

    After the last chunk of a word the pointer moves to chunk 0 of the next word. A WRITE reaches
    the bus one cycle after it was accepted, one a cycle. A READ takes five cycles and answers with
    a DATA flit to the host; no further flit is accepted until the answer has gone, so the host must
    keep at most one READ outstanding in the whole mesh (an answer may otherwise wait behind a
    request that waits for an answer).

    Members
    -------
    i : ``In(flit_stream)``
    reply : ``Out(flit_stream)``
        DATA flits.
    bus : ``Out(ConfigBus())``
    read_chunk : ``In(32)`` for each of the blocks ``control``, ``axon_in``, ``dendrite``, ``soma``,
        ``axon_out`` as ``read_<block>``
    idle : ``Out(1)``
        Nothing under way.
    """

    def __init__(self, *, params: ChipParams):
        self._formats = Formats(params)
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "reply": Out(flit_stream(params)),
                "bus": Out(ConfigBus()),
                "idle": Out(1),
                **{f"read_{block}": In(CHUNK_WIDTH) for block in BLOCKS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        formats = self._formats
        flit = self.i.payload
        target = struct(formats.pointer)(flit.payload[: formats.pointer.width])
        pointer = Signal(struct(formats.pointer))
        last_chunk = Signal(pointer.chunk.shape())
        with m.Switch(pointer.memory):
            for memory in Memory:
                with m.Case(memory.value):
                    m.d.comb += last_chunk.eq(formats.n_chunks(memory) - 1)

        accept = Signal()
        reading = Signal(2)  # cycles since a READ was accepted, 0: none
        m.d.comb += [
            self.i.ready.eq((reading == 0) & ~self.reply.valid),
            accept.eq(self.i.valid & self.i.ready),
            self.idle.eq((reading == 0) & ~self.reply.valid & ~self.bus.write),
        ]
        m.d.sync += [self.bus.write.eq(0), self.bus.read.eq(0)]
        with m.If(accept):
            with m.If(flit.kind == Kind.ADDRESS.value):
                m.d.sync += pointer.eq(target)
            with m.Else():
                is_read = flit.kind == Kind.READ.value
                m.d.sync += [
                    self.bus.memory.eq(pointer.memory),
                    self.bus.address.eq(pointer.address),
                    self.bus.chunk.eq(pointer.chunk),
                    self.bus.data.eq(flit.payload[:CHUNK_WIDTH]),
                    self.bus.write.eq(~is_read),
                    self.bus.read.eq(is_read),
                    reading.eq(is_read),
                ]
                with m.If(pointer.chunk == last_chunk):
                    m.d.sync += [pointer.chunk.eq(0), pointer.address.eq(pointer.address + 1)]
                with m.Else():
                    m.d.sync += pointer.chunk.eq(pointer.chunk + 1)

        answer = Signal(CHUNK_WIDTH)
        with m.Switch(self.bus.memory):
            for block, memories in BLOCKS.items():
                with m.Case(*(memory.value for memory in memories)):
                    m.d.comb += answer.eq(getattr(self, f"read_{block}"))
        # bus.read is high while reading == 1; the memories have answered two cycles later.
        with m.If(reading == 1):
            m.d.sync += reading.eq(2)
        with m.If(reading == 2):
            m.d.sync += reading.eq(3)
        with m.If(reading == 3):
            m.d.sync += [
                reading.eq(0),
                self.reply.valid.eq(1),
                self.reply.payload.payload.eq(answer),
            ]
        with m.If(self.reply.valid & self.reply.ready):
            m.d.sync += self.reply.valid.eq(0)
        m.d.comb += [
            self.reply.payload.kind.eq(Kind.DATA.value),
            self.reply.payload.x0.eq(HOST[0]),
            self.reply.payload.y0.eq(HOST[1]),
            self.reply.payload.x1.eq(HOST[0]),
            self.reply.payload.y1.eq(HOST[1]),
        ]
        return m
