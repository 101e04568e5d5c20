# SPDX-License-Identifier: Apache-2.0
"""The configuration unit: ADDRESS, WRITE and READ flits become accesses to the memories."""

from types import SimpleNamespace

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import ALERT, Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import N_CONTROL, N_WRITABLE, RANGES, Control
from stemcore.golden.spec.routing import HOST
from stemcore.golden.spec.widths import CHUNK_WIDTH, bits_for

from ..layouts import ConfigBus, flit_stream, struct

BLOCKS = {
    "control": (Memory.CONTROL,),
    "axon_in": (Memory.AXON, Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X),
    "dendrite": (Memory.WEIGHT,),
    "soma": (Memory.UPDATE, Memory.REQUANT, Memory.LOOKUP),
    "axon_out": (Memory.FIRE, Memory.DESTINATION),
}


def is_no_word(address: Value, depth: int) -> Value:
    """Whether a memory of ``depth`` words has none at ``address``."""
    if depth & (depth - 1):
        return address >= depth
    return address[bits_for(depth) :].any()  # without a carry chain


class Configuration(wiring.Component):
    """Keeps the pointer that ADDRESS sets; WRITE and READ move it to the next chunk.

    After the last chunk of a word the pointer moves to chunk 0 of the next word. A WRITE reaches
    the bus one cycle after it was accepted, one a cycle. A READ takes eight cycles and answers with
    a DATA flit to the host. While the core runs, its registers can be read, but no memory, and no
    register can be written but COMMAND. Accesses that this forbids, or beyond a
    memory, are dropped, and reported; the pointer moves on all the same.

    An answer may wait in the mesh, but never for this unit: it goes on to accept flits meanwhile. A
    READ that comes then is dropped and reported: the host should keep at most one READ outstanding.

    The first error of a core becomes an answer that nobody asked for: a flit of kind ``ALERT``, in
    which the register ERRORS stands in the place of what a READ asks for.

    Members
    -------
    i : ``In(flit_stream)``
    at_work : ``In(1)``
        The core runs, or begins to.
    keep : ``In(1)``
        The flit that ``i`` hands over is kept, else it is dropped. It may come late in the cycle.
    alert, alerted : ``In(1)``, ``Out(1)``
        Send an alert; it is being sent.
    causes : ``Out(len(Error))``
        Pulses for accesses and commands that were refused.
    reply : ``Out(flit_stream)``
        DATA flits, and alerts.
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
                "at_work": In(1),
                "keep": In(1, init=1),
                "alert": In(1),
                "alerted": Out(1),
                "causes": Out(len(Error)),
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
        comes_before = Signal()  # the last chunk of a word
        is_last = Signal()
        # Beyond a memory; or no memory at all.
        no_word = Signal(init=1)
        with m.Switch(pointer.memory):
            for memory in Memory:
                with m.Case(memory.value):
                    last = formats.n_chunks(memory) - 1
                    # Chunk by chunk: a comparison of both would need a carry chain.
                    m.d.comb += [
                        comes_before.eq(pointer.chunk.matches(*range(last))),
                        is_last.eq(pointer.chunk == last),
                        no_word.eq(is_no_word(pointer.address, formats.memory(memory)[1])),
                    ]

        beyond = Signal()
        m.d.comb += beyond.eq(no_word | ~(comes_before | is_last))
        accept = Signal()
        is_read = Signal()
        is_write = Signal()
        refused = self._refused(m, flit, pointer, beyond)
        reading = Signal(range(7))  # cycles since a READ was accepted, 0: none
        is_read_refused = Signal()  # of the READ just accepted
        is_alerted = Signal()  # ``alerted`` a cycle late
        is_alert = Signal()  # what is answered
        waits = Signal()  # an answer, for longer than a cycle
        # Reading, or in an answer's first cycle: a register, since the flits behind wait for it.
        is_busy = Signal()
        m.d.comb += [
            self.i.ready.eq(~is_busy),
            accept.eq(self.i.valid & self.i.ready & self.keep),
            is_write.eq(accept & (flit.kind == Kind.WRITE.value)),
            is_read.eq(accept & (flit.kind == Kind.READ.value)),
            self.alerted.eq(self.alert & (reading == 0) & ~self.reply.valid & ~self.i.valid),
            self.idle.eq((reading == 0) & ~self.reply.valid & ~self.bus.write & ~self.alert),
            self.causes[Error.WRITE].eq(is_write & refused.write),
            self.causes[Error.COMMAND].eq(is_write & ~refused.write & refused.command),
            self.causes[Error.READ].eq(is_read & (refused.read | waits)),
        ]
        m.d.sync += [
            self.bus.write.eq(is_write & ~refused.write & ~refused.command),
            self.bus.command.eq(is_write & refused.is_command & ~refused.write & ~refused.command),
            # Whether there is such a word takes most of a cycle, and what follows from it the next.
            is_read_refused.eq(is_read & (refused.read | waits)),
            is_alerted.eq(self.alerted),
            self.bus.read.eq((reading == 1) & ~is_read_refused),
            waits.eq(self.reply.valid & ~self.reply.ready),
        ]
        # Whether a flit is accepted comes late in a cycle: it enables, and chooses nothing.
        with m.If(accept):
            with m.If(flit.kind == Kind.ADDRESS.value):
                m.d.sync += pointer.eq(target)
            with m.Elif(comes_before):
                m.d.sync += pointer.chunk.eq(pointer.chunk + 1)
            with m.Else():
                m.d.sync += [pointer.chunk.eq(0), pointer.address.eq(pointer.address + 1)]
        with m.If(reading == 0):
            m.d.sync += is_busy.eq(0)
        with m.If(is_read | self.alerted):
            m.d.sync += [reading.eq(1), is_busy.eq(1)]
        # Without ``write`` and ``read`` nobody looks at the rest of the bus, which is wide: it need
        # not wait for whether what comes is kept.
        with m.If((reading == 0) & (self.i.valid | self.alert)):
            m.d.sync += [
                self.bus.memory.eq(Mux(self.i.valid, pointer.memory, Memory.CONTROL.value)),
                self.bus.address.eq(Mux(self.i.valid, pointer.address, Control.ERRORS.value)),
                self.bus.chunk.eq(pointer.chunk),
                self.bus.data.eq(flit.payload[:CHUNK_WIDTH]),
            ]

        # bus.read is high while reading == 2; the memories have answered three cycles later. Their
        # answers are chosen from chunk by chunk, and then here: a cycle for each.
        chunks = {
            block: Signal(CHUNK_WIDTH, name=f"chunk_of_{block}", reset_less=True)
            for block in BLOCKS
        }
        with m.If(reading == 5):
            m.d.sync += [
                chunk.eq(getattr(self, f"read_{block}")) for block, chunk in chunks.items()
            ]
        answer = Signal(CHUNK_WIDTH)
        with m.Switch(self.bus.memory):
            for block, memories in BLOCKS.items():
                with m.Case(*(memory.value for memory in memories)):
                    m.d.comb += answer.eq(chunks[block])
        with m.If(reading != 0):
            m.d.sync += reading.eq(reading + 1)
        with m.If(reading == 1):
            with m.If(is_read_refused):
                m.d.sync += reading.eq(0)
            with m.Else():
                m.d.sync += is_alert.eq(is_alerted)
        with m.If(reading == 6):
            m.d.sync += [
                reading.eq(0),
                self.reply.valid.eq(1),
                self.reply.payload.payload.eq(answer),
            ]
        with m.If(self.reply.valid & self.reply.ready):
            m.d.sync += self.reply.valid.eq(0)
        m.d.comb += [
            self.reply.payload.kind.eq(Mux(is_alert, ALERT.value, Kind.DATA.value)),
            self.reply.payload.x0.eq(HOST[0]),
            self.reply.payload.y0.eq(HOST[1]),
            self.reply.payload.x1.eq(HOST[0]),
            self.reply.payload.y1.eq(HOST[1]),
        ]
        return m

    def _refused(self, m, flit, pointer, beyond):
        """Whether WRITE, READ and a command are refused; whether a WRITE would be a command."""
        refused = SimpleNamespace(
            **{name: Signal(name=f"{name}_refused") for name in ("write", "read", "command")},
            is_command=Signal(name="is_command"),
        )
        command = struct(self._formats.command)(flit.payload[: self._formats.command.width])
        is_control = Signal()
        is_command = refused.is_command
        # Whether there are higher bits, ``beyond`` says.
        is_range = Signal()
        n_ranges = 1 << self._formats.params.axon_width
        m.d.comb += is_range.eq(
            is_control & (pointer.address[bits_for(n_ranges) :] == RANGES // n_ranges)
        )
        register = pointer.address[: bits_for(N_CONTROL)]
        m.d.comb += [
            is_control.eq(pointer.memory == Memory.CONTROL.value),
            is_command.eq(is_control & ~is_range & (register == Control.COMMAND.value)),
            refused.read.eq(beyond | (self.at_work & ~is_control)),
            refused.write.eq(
                (beyond & ~is_range)
                | (is_control & ~is_range & ~register.matches(*range(N_WRITABLE)))
                | (self.at_work & ~is_command)
            ),
            refused.command.eq(
                is_command
                & (
                    flit.payload[self._formats.command.width : CHUNK_WIDTH].any()
                    | (command.start & self.at_work)
                )
            ),
        ]
        return refused
