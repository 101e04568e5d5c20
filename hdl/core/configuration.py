# SPDX-License-Identifier: Apache-2.0
"""The configuration unit: ADDRESS, WRITE and READ flits become accesses to the memories."""

from types import SimpleNamespace

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import ALERT, COMMAND, Formats, Kind, Memory
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

    After the last chunk of a word the pointer moves to chunk 0 of the next word. A WRITE is on the
    bus, or refused, in the cycle after it was accepted, and a command is obeyed with it; address
    and data follow a cycle later. One WRITE is accepted a cycle. A READ takes eight
    cycles and answers with a DATA flit to the host. While the core runs, its registers can be
    read, but no memory, and no register can be written but COMMAND. Accesses that this forbids, or
    beyond a memory, are dropped, and reported; the pointer moves on all the same.

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
        Pulses for accesses and commands that were refused, a cycle after they were accepted.
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
        # What was accepted in the cycle before, and what is known of it by itself.
        wrote = Signal()
        asked = Signal()
        place = Signal.like(pointer, name="asked_pointer")
        value = Signal(CHUNK_WIDTH, reset_less=True)
        known = self._know(m, flit, pointer, beyond)
        refused = self._refused(m, known)
        reading = Signal(range(6))  # cycles since a READ went to the bus, 0: none
        is_alert = Signal()
        waits = Signal()  # an answer, for longer than a cycle
        has_written = Signal()  # to the bus, in the cycle before
        # Reading, or in an answer's first cycle: a register, since the flits behind wait for it.
        is_busy = Signal()
        reads = asked & ~refused.read & ~waits
        m.d.comb += [
            self.i.ready.eq(~is_busy),
            accept.eq(self.i.valid & self.i.ready & self.keep),
            is_write.eq(accept & (flit.kind == Kind.WRITE.value)),
            is_read.eq(accept & (flit.kind == Kind.READ.value)),
            self.alerted.eq(
                self.alert & (reading == 0) & ~(self.reply.valid | self.i.valid | wrote | asked)
            ),
            self.idle.eq(
                (reading == 0) & ~(self.reply.valid | wrote | asked | has_written | self.alert)
            ),
            self.bus.commands.as_value().eq(
                Mux(
                    wrote & known.is_command & ~refused.write & ~refused.command,
                    value[: COMMAND.width],
                    0,
                )
            ),
            self.bus.write.eq(wrote & ~refused.write & ~refused.command),
            self.bus.read.eq(reads | self.alerted),
            self.bus.memory.eq(Mux(wrote | asked, place.memory, Memory.CONTROL.value)),
            self.bus.chunk.eq(place.chunk),
            self.causes[Error.WRITE].eq(wrote & refused.write),
            self.causes[Error.COMMAND].eq(wrote & ~refused.write & refused.command),
            self.causes[Error.READ].eq(asked & (refused.read | waits)),
        ]
        m.d.sync += [
            wrote.eq(is_write),
            asked.eq(is_read),
            has_written.eq(self.bus.write),
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
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [place.eq(pointer), value.eq(flit.payload[:CHUNK_WIDTH])]
        with m.If(reading == 0):
            m.d.sync += is_busy.eq(0)
        with m.If(is_read | reads | self.alerted):
            m.d.sync += is_busy.eq(1)
        with m.If(reads | self.alerted):
            m.d.sync += [reading.eq(1), is_alert.eq(self.alerted)]
        # Without ``write`` and ``read`` nobody looks at address and data, which are wide: they need
        # not wait for whether what comes is refused.
        with m.If(wrote | asked):
            m.d.sync += [self.bus.address.eq(place.address), self.bus.data.eq(value)]
        with m.Elif((reading == 0) & self.alert):
            m.d.sync += self.bus.address.eq(Control.ERRORS.value)

        # The memories have answered while reading == 3, and control a cycle later. Their answers
        # are chosen from chunk by chunk, and then here: a cycle for each.
        chunks = {
            block: Signal(CHUNK_WIDTH, name=f"chunk_of_{block}", reset_less=True)
            for block in BLOCKS
        }
        with m.If(reading == 4):
            m.d.sync += [
                chunk.eq(getattr(self, f"read_{block}")) for block, chunk in chunks.items()
            ]
        answer = Signal(CHUNK_WIDTH)
        answers = Signal.like(self.bus.memory)
        with m.If(self.bus.read):
            m.d.sync += answers.eq(self.bus.memory)
        with m.Switch(answers):
            for block, memories in BLOCKS.items():
                with m.Case(*(memory.value for memory in memories)):
                    m.d.comb += answer.eq(chunks[block])
        with m.If(reading != 0):
            m.d.sync += reading.eq(reading + 1)
        with m.If(reading == 5):
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

    def _know(self, m, flit, pointer, beyond):
        """Registers that say of an access, in the cycle after it was accepted, what follows from
        where it goes and what it writes: whatever the core does."""
        known = SimpleNamespace(
            **{
                name: Signal(name=f"known_{name}")
                for name in (
                    "is_control",  # the memory CONTROL
                    "is_command",  # its register COMMAND
                    "has_no_word",  # there is nothing to read
                    "is_read_only",  # or nothing at all
                    "is_no_command",  # bits are set that no command has
                    "starts",  # the command START is among those asked for
                )
            }
        )
        command = struct(COMMAND)(flit.payload[: COMMAND.width])
        is_control = Signal()
        is_command = Signal()
        # Whether there are higher bits, ``beyond`` says.
        is_range = Signal()
        n_ranges = 1 << self._formats.params.axon_width
        register = pointer.address[: bits_for(N_CONTROL)]
        m.d.comb += [
            is_control.eq(pointer.memory == Memory.CONTROL.value),
            is_range.eq(is_control & (pointer.address[bits_for(n_ranges) :] == RANGES // n_ranges)),
            is_command.eq(is_control & ~is_range & (register == Control.COMMAND.value)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                known.is_control.eq(is_control),
                known.is_command.eq(is_command),
                known.has_no_word.eq(beyond),
                known.is_read_only.eq(
                    ~is_range & (beyond | (is_control & ~register.matches(*range(N_WRITABLE))))
                ),
                known.is_no_command.eq(
                    is_command & flit.payload[COMMAND.width : CHUNK_WIDTH].any()
                ),
                known.starts.eq(is_command & command.start),
            ]
        return known

    def _refused(self, m, known):
        """Whether a WRITE, a READ and a command are refused, in the cycle after."""
        refused = SimpleNamespace(
            **{name: Signal(name=f"{name}_refused") for name in ("write", "read", "command")}
        )
        m.d.comb += [
            refused.read.eq(known.has_no_word | (self.at_work & ~known.is_control)),
            refused.write.eq(known.is_read_only | (self.at_work & ~known.is_command)),
            refused.command.eq(known.is_no_command | (known.starts & self.at_work)),
        ]
        return refused
