# SPDX-License-Identifier: Apache-2.0
"""The chip's end of the serial line: frames become register accesses and flits, and back."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.host_registers import ADDRESS_WIDTH, REGISTER_WIDTH
from stemcore.golden.spec.uart_frames import FLIT_BYTES, ROOM_WIDTH, FrameKind

from .axi import AxiLite, AxiStream
from .stream_in import WORD_WIDTH
from .uart_frames import FrameReceiver, FrameTransmitter
from .uart_queues import DEPTH, QueueIn, QueueOut
from .uart_registers import RegisterAccess

DUE = data.StructLayout({"connect": 1, "answer": 1, "status": 1, "again": 1})


class UartLink(wiring.Component):
    """Keeps the rules of ``stemcore.golden.spec.uart_frames``, as the side that answers.

    Register accesses pass the queues of flits by, so that the host can look at, and reset, a chip
    that takes nothing. Nothing here waits for a time: a frame that does not come is the host's to
    ask for.

    Members
    -------
    rx_data : ``In(8)``, rx_valid : ``In(1)``
        Bytes that come, at any rate.
    tx : ``Out(stream)`` of 8 bits
        Bytes to send.
    registers : ``Out(AxiLite)``, o : ``Out(AxiStream)``, i : ``In(AxiStream)``
        As of a host on a bus. At CONNECT the beat that ``o`` offers goes without being taken.
    """

    def __init__(self):
        super().__init__(
            {
                "rx_data": In(8),
                "rx_valid": In(1),
                "tx": Out(stream.Signature(8)),
                "registers": Out(AxiLite(address_width=ADDRESS_WIDTH, data_width=REGISTER_WIDTH)),
                "o": Out(AxiStream(data_width=WORD_WIDTH)),
                "i": In(AxiStream(data_width=WORD_WIDTH)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.queue_in = into = QueueIn()
        m.submodules.queue_out = out = QueueOut()
        m.submodules.accesses = accesses = RegisterAccess()
        connect(m, into.o, flipped(self.o))
        connect(m, flipped(self.i), out.i)
        connect(m, accesses.bus, flipped(self.registers))

        header = receiver.header
        session = Signal(8)
        asks = Signal()
        connects = Signal()
        ours = Signal()
        m.d.comb += [
            receiver.data.eq(self.rx_data),
            receiver.valid.eq(self.rx_valid),
            asks.eq(receiver.good & (header.kind == FrameKind.CONNECT)),
            # Asked for twice, it happens once: flits may be under way already.
            connects.eq(asks & (header.session != session)),
            ours.eq(receiver.good & (header.session == session) & (session != 0)),
            into.payload.eq(receiver.payload),
            into.payload_valid.eq(receiver.payload_valid),
            into.position.eq(receiver.position),
            into.good.eq(ours & (header.kind == FrameKind.FLITS)),
            into.bad.eq(receiver.bad),
            into.ended.eq(receiver.good | receiver.bad),
            accesses.access.eq(receiver.word),
            accesses.good.eq(ours),
            out.good.eq(ours),
        ]
        for part in (into, out, accesses):
            m.d.comb += [part.header.eq(header), part.clear.eq(connects)]
        with m.If(connects):
            m.d.sync += session.eq(header.session)
        self._send(m, session, asks, connects, receiver, into, out, accesses)
        return m

    def _send(self, m, session, asks, connects, receiver, into, out, accesses):
        """Chooses the next frame. Each says what is expected, the room, and what was lost."""
        m.submodules.transmitter = transmitter = FrameTransmitter()
        connect(m, transmitter.o, flipped(self.tx))
        due = Signal(DUE)
        sent_room = Signal(ROOM_WIDTH)
        has_room_again = Signal()
        answers = Signal()  # the frame that goes out is an answer
        frame = transmitter.header
        m.d.comb += [
            transmitter.start.eq(
                transmitter.idle & ~receiver.good & (due.as_value().any() | (out.n_flits != 0))
            ),
            transmitter.payload.eq(Mux(answers, accesses.byte, out.byte)),
            out.position.eq(transmitter.position),
            accesses.position.eq(transmitter.position),
            frame.again.eq(due.again),
            frame.session.eq(session),
            frame.acknowledged.eq(into.expected),
            frame.room.eq(into.room),
            has_room_again.eq((session != 0) & (into.room >= sent_room + DEPTH // 2)),
        ]
        with m.If(due.connect):
            m.d.comb += frame.kind.eq(FrameKind.CONNECT)
        with m.Elif(due.answer):
            m.d.comb += [
                frame.kind.eq(accesses.kind),
                frame.sequence.eq(accesses.number),
                frame.length.eq(FLIT_BYTES),
            ]
        with m.Else():
            m.d.comb += [
                frame.kind.eq(FrameKind.FLITS),
                frame.sequence.eq(out.sent),
                frame.length.eq(out.n_flits * FLIT_BYTES),
                out.send.eq(transmitter.start),
            ]
        with m.If(transmitter.start):
            m.d.sync += [
                due.connect.eq(0),
                due.status.eq(0),
                due.again.eq(0),
                due.answer.eq(due.answer & due.connect),
                answers.eq(due.answer & ~due.connect),
                sent_room.eq(into.room),
            ]
        # What is asked for in the cycle in which a frame begins goes out with the next.
        with m.If(receiver.good | receiver.bad | (has_room_again & ~transmitter.start)):
            m.d.sync += due.status.eq(1)
        with m.If(into.lost):
            m.d.sync += due.again.eq(1)
        with m.If(accesses.due):
            m.d.sync += due.answer.eq(1)
        with m.If(asks):
            m.d.sync += due.connect.eq(1)
        with m.If(connects):
            m.d.sync += [due.answer.eq(0), due.again.eq(0)]
