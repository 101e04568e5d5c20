# SPDX-License-Identifier: Apache-2.0
"""Flits on their way from and to the serial line, until they are whole or acknowledged."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.uart_frames import COUNT_WIDTH, FLIT_BYTES, MAX_FLITS, ROOM_WIDTH

from .axi import AxiStream
from .stream_in import WORD_WIDTH
from .uart_frames import HEADER_LAYOUT, MAX_LENGTH

DEPTH = 256  # flits in each direction: 2 KiB, one block RAM of an ECP5
SLOT_WIDTH = (DEPTH - 1).bit_length()
MAX_ROOM = (1 << ROOM_WIDTH) - 1


class QueueIn(wiring.Component):
    """Takes the flits of frames that are good and in order; hands them on as words.

    A frame's bytes are written as they come, beyond those that count; they count when the frame has
    ended well. A word takes ten cycles.

    Members
    -------
    clear : ``In(1)``
        Begins at flit 0; the word that is offered goes.
    header : ``In(HEADER)``, payload : ``In(8)``, payload_valid : ``In(1)``, position : ``In``
        Of the frame that comes in.
    good, bad, ended : ``In(1)``
        A frame ended: a good one, with flits of this session; a damaged one; any.
    o : ``Out(AxiStream)``
    expected, room : ``Out``
        As a frame says them.
    lost : ``Out(1)``
        Frames are to be sent again; high for a cycle, and not twice before one is in order.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "header": In(HEADER_LAYOUT),
                "payload": In(8),
                "payload_valid": In(1),
                "position": In(range(MAX_LENGTH)),
                "good": In(1),
                "bad": In(1),
                "ended": In(1),
                "o": Out(AxiStream(data_width=WORD_WIDTH)),
                "expected": Out(COUNT_WIDTH),
                "room": Out(ROOM_WIDTH),
                "lost": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = RAM(shape=8, depth=DEPTH * FLIT_BYTES, init=[])
        write, read = queue.write_port(), queue.read_port()
        taken = Signal(COUNT_WIDTH)
        held = Signal(COUNT_WIDTH)
        free = Signal(range(DEPTH + 1))
        ahead = Signal(COUNT_WIDTH)
        fits = Signal()
        in_order = Signal()
        overflows = Signal()
        overflowed = Signal()
        asked = Signal()
        m.d.comb += [
            held.eq(self.expected - taken),
            free.eq(DEPTH - held),
            self.room.eq(Mux(free > MAX_ROOM, MAX_ROOM, free)),
            fits.eq(self.position // FLIT_BYTES < free),
            write.addr.eq(self.expected * FLIT_BYTES + self.position),
            write.data.eq(self.payload),
            write.en.eq(self.payload_valid & fits),
            overflows.eq(self.payload_valid & ~fits),
            ahead.eq(self.header.sequence - self.expected),
            in_order.eq((ahead == 0) & ~overflowed),
            # The host may have more on the line: it is asked once, until a frame is in order again.
            self.lost.eq(~asked & (self.bad | (self.good & ~in_order & ~ahead[-1]))),
        ]
        with m.If(overflows):
            m.d.sync += overflowed.eq(1)
        with m.If(self.ended):
            m.d.sync += overflowed.eq(0)
        with m.If(self.lost):
            m.d.sync += asked.eq(1)
        with m.If(self.good & in_order):
            m.d.sync += [
                self.expected.eq(self.expected + self.header.length // FLIT_BYTES),
                asked.eq(0),
            ]

        # A byte is there in the cycle after its address.
        offset = Signal(range(FLIT_BYTES + 1))
        word = self.o.tdata
        m.d.comb += [
            self.o.tkeep.eq(-1),
            self.o.tlast.eq(1),
            read.addr.eq(taken * FLIT_BYTES + offset),
        ]
        with m.If(self.o.tvalid):
            with m.If(self.o.tready):
                m.d.sync += [self.o.tvalid.eq(0), taken.eq(taken + 1)]
        with m.Elif(held != 0):
            m.d.sync += offset.eq(offset + 1)
            with m.If(offset != 0):
                m.d.sync += word.eq(Cat(word[8:], read.data))
            with m.If(offset == FLIT_BYTES):
                m.d.sync += [self.o.tvalid.eq(1), offset.eq(0)]
        with m.If(self.clear):
            m.d.sync += [
                *(signal.eq(0) for signal in (self.expected, taken, asked, offset)),
                self.o.tvalid.eq(0),
            ]
        return m


class QueueOut(wiring.Component):
    """Keeps the flits that go out until they are acknowledged.

    Members
    -------
    clear : ``In(1)``
        Begins at flit 0, with nothing.
    i : ``In(AxiStream)``
        Words, ten cycles for each.
    header : ``In(HEADER)``, good : ``In(1)``
        A frame of this session has come: what it acknowledges, and whether to send again.
    sent : ``Out``, n_flits : ``Out``
        Number of the first flit to send, and how many of them a frame may have now.
    send : ``In(1)``
        A frame of these begins in this cycle; not together with ``good``.
    position : ``In``, byte : ``Out(8)``
        Of the frame that was begun last: the byte of a cycle is that of the position before.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "i": In(AxiStream(data_width=WORD_WIDTH)),
                "header": In(HEADER_LAYOUT),
                "good": In(1),
                "sent": Out(COUNT_WIDTH),
                "n_flits": Out(range(MAX_FLITS + 1)),
                "send": In(1),
                "position": In(range(MAX_LENGTH + 1)),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = RAM(shape=8, depth=DEPTH * FLIT_BYTES, init=[])
        write, read = queue.write_port(), queue.read_port()
        acknowledged = Signal(COUNT_WIDTH)
        written = Signal(COUNT_WIDTH)
        first = Signal(SLOT_WIDTH)
        waiting = Signal(COUNT_WIDTH)
        m.d.comb += [
            waiting.eq(written - self.sent),
            self.n_flits.eq(Mux(waiting < MAX_FLITS, waiting, MAX_FLITS)),
            read.addr.eq(first * FLIT_BYTES + self.position),
            self.byte.eq(read.data),
        ]
        with m.If(self.send):
            m.d.sync += [first.eq(self.sent), self.sent.eq(self.sent + self.n_flits)]

        word = Signal(WORD_WIDTH)
        offset = Signal(range(FLIT_BYTES))
        holds = Signal()
        held = Signal(COUNT_WIDTH)
        has_room = Signal()
        m.d.comb += [
            held.eq(written - acknowledged),
            has_room.eq(held < DEPTH),
            self.i.tready.eq(~holds),
            write.addr.eq(written * FLIT_BYTES + offset),
            write.data.eq(word[:8]),
            write.en.eq(holds & has_room),
        ]
        with m.If(~holds):
            m.d.sync += [word.eq(self.i.tdata), holds.eq(self.i.tvalid)]
        with m.Elif(has_room):
            m.d.sync += [word.eq(word[8:]), offset.eq(offset + 1)]
            with m.If(offset == FLIT_BYTES - 1):
                m.d.sync += [holds.eq(0), written.eq(written + 1)]

        passed = Signal(COUNT_WIDTH)
        unacknowledged = Signal(COUNT_WIDTH)
        m.d.comb += [
            passed.eq(self.header.acknowledged - acknowledged),
            unacknowledged.eq(self.sent - acknowledged),
        ]
        with m.If(self.good & (passed <= held)):
            m.d.sync += acknowledged.eq(self.header.acknowledged)
            # Flits may be acknowledged that were to be sent again.
            with m.If(self.header.again | (passed > unacknowledged)):
                m.d.sync += self.sent.eq(self.header.acknowledged)
        with m.If(self.clear):
            counts = (acknowledged, self.sent, written)
            m.d.sync += [*(count.eq(0) for count in counts), holds.eq(0), offset.eq(0)]
        return m
