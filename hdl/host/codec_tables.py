# SPDX-License-Identifier: Apache-2.0
"""The codec's memories, behind ADDRESS, WRITE and READ flits to the host's own place."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import CodecFormats, CodecMemory, CodecRegister
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.routing import HOST
from stemcore.golden.spec.widths import CHUNK_WIDTH, bits_for

from ..core.memory import pick
from ..layouts import ConfigBus, flit_stream, struct
from .table_memory import TableMemory

TABLES = (CodecMemory.ROUTE, CodecMemory.TOKEN, CodecMemory.OUTPUT)


class CodecTables(wiring.Component):
    """Keeps a pointer as a core does (``hdl.core.configuration``); a READ takes four cycles.

    Accesses beyond a memory, and all while ``work``, are dropped, and ``refused`` says so; the
    pointer moves on all the same.

    Parameters
    ----------
    formats : CodecFormats

    Members
    -------
    work : ``In(1)``
        The codec is at work: its memories stay as they are.
    i, reply : ``In``, ``Out`` of flits
        Accesses, and DATA.
    refused : ``Out(1)``
    and for each of the registers, by its name in lower case: ``Out``, its word's fields;
    for ``route``, ``token``, ``output``: ``NAME_address``, ``In``, and ``NAME``, ``Out``, the word.
    """

    def __init__(self, *, formats: CodecFormats):
        self._formats = formats
        flits = flit_stream(formats.params)
        members = {"work": In(1), "i": In(flits), "reply": Out(flits), "refused": Out(1)}
        for register, layout in formats.registers.items():
            members[register.name.lower()] = Out(struct(layout))
        for memory in TABLES:
            layout, depth = formats.memory(memory)
            members[f"{memory.name.lower()}_address"] = In(range(depth))
            members[memory.name.lower()] = Out(struct(layout))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        formats = self._formats
        pointers = Formats(formats.params).pointer
        flit = self.i.payload
        pointer = Signal(struct(pointers))
        last_chunk = Signal(pointer.chunk.shape())
        beyond = Signal(init=1)
        with m.Switch(pointer.memory):
            for memory in CodecMemory:
                with m.Case(memory.value):
                    m.d.comb += [
                        last_chunk.eq(formats.n_chunks(memory) - 1),
                        beyond.eq(
                            (pointer.address >= formats.memory(memory)[1])
                            | (pointer.chunk > last_chunk)
                        ),
                    ]
        bus = ConfigBus().create()
        reading = Signal(2)
        accept = Signal()
        is_read = Signal()
        is_write = Signal()
        refuses = Signal()
        m.d.comb += [
            self.i.ready.eq((reading == 0) & ~self.reply.valid),
            accept.eq(self.i.valid & self.i.ready),
            is_read.eq(accept & (flit.kind == Kind.READ.value)),
            is_write.eq(accept & (flit.kind == Kind.WRITE.value)),
            refuses.eq(beyond | self.work),
            self.refused.eq((is_read | is_write) & refuses),
        ]
        m.d.comb += [
            bus.write.eq(is_write & ~refuses),
            bus.read.eq(is_read & ~refuses),
            bus.memory.eq(pointer.memory),
            bus.chunk.eq(pointer.chunk),
        ]
        with m.If(accept & (flit.kind == Kind.ADDRESS.value)):
            m.d.sync += pointer.as_value().eq(flit.payload[: pointers.width])
        with m.If(is_read | is_write):
            m.d.sync += [
                bus.address.eq(pointer.address),
                bus.data.eq(flit.payload[:CHUNK_WIDTH]),
                pointer.chunk.eq(pointer.chunk + 1),
            ]
            with m.If(pointer.chunk >= last_chunk):
                m.d.sync += [pointer.chunk.eq(0), pointer.address.eq(pointer.address + 1)]
        answer = self._memories(m, bus)
        with m.If(is_read & ~refuses):
            m.d.sync += reading.eq(1)
        with m.Elif(reading != 0):
            m.d.sync += reading.eq(reading + 1)
        with m.If(reading == 3):
            m.d.sync += [self.reply.valid.eq(1), self.reply.payload.payload.eq(answer)]
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

    def _memories(self, m, bus):
        """Registers and tables; the chunk that was read last."""
        formats = self._formats
        answer = Signal(CHUNK_WIDTH)
        words = [getattr(self, register.name.lower()).as_value() for register in CodecRegister]
        written = Signal()
        answers = Signal.like(bus.memory)
        m.d.sync += written.eq(bus.write & (bus.memory == CodecMemory.CONTROL.value))
        with m.If(bus.read):
            m.d.sync += answers.eq(bus.memory)
        for number, word in enumerate(words):
            with m.If(written & (bus.address == number)):
                m.d.sync += word.eq(bus.data)
        m.d.comb += answer.eq(pick(words, bus.address[: bits_for(len(words))]))
        for memory in TABLES:
            name = memory.name.lower()
            layout, depth = formats.memory(memory)
            table = TableMemory(number=memory.value, layout=layout, depth=depth)
            m.submodules[name] = table
            m.d.comb += [
                table.config.memory.eq(bus.memory),
                table.config.address.eq(bus.address),
                table.config.chunk.eq(bus.chunk),
                table.config.data.eq(bus.data),
                table.config.write.eq(bus.write),
                table.config.read.eq(bus.read),
                table.address.eq(getattr(self, f"{name}_address")),
                getattr(self, name).eq(table.data),
            ]
            with m.If(answers == memory.value):
                m.d.comb += answer.eq(table.read_chunk)
        return answer
