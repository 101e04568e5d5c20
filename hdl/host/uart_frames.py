# SPDX-License-Identifier: Apache-2.0
"""Frames on bytes: found and checked, made and escaped."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.uart_frames import (
    CRC_BYTES,
    ESCAPE,
    FLAG,
    FLIPPED,
    HEADER,
    HEADER_BYTES,
)

from ..layouts import struct

HEADER_LAYOUT = struct(HEADER)
MAX_LENGTH = (1 << HEADER_LAYOUT["length"].width) - 1
WORD_BYTES = 8


class FrameReceiver(wiring.Component):
    """Says at the flag that ends a frame whether it is good. A byte each cycle, if need be.

    Members
    -------
    data : ``In(8)``, valid : ``In(1)``
        Bytes as they come.
    header : ``Out(HEADER)``
        Of the frame; whole with the first byte of the payload.
    payload : ``Out(8)``, payload_valid : ``Out(1)``, position : ``Out``
        A byte of the payload, of a frame that may yet prove bad, and its place there.
    word : ``Out(64)``
        The last eight bytes of the payload, the last one highest.
    good, bad : ``Out(1)``
        A frame ended in this cycle; ``header`` and ``word`` are its own.
    """

    def __init__(self):
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "header": Out(HEADER_LAYOUT),
                "payload": Out(8),
                "payload_valid": Out(1),
                "position": Out(range(MAX_LENGTH)),
                "word": Out(8 * WORD_BYTES),
                "good": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        n_bytes = Signal(range(HEADER_BYTES + MAX_LENGTH + CRC_BYTES + 2))
        n_payload = Signal.like(n_bytes)
        escaped = Signal()
        is_flag = Signal()
        is_escape = Signal()
        takes = Signal()
        ends = Signal()
        m.d.comb += [
            is_flag.eq(self.data == FLAG),
            is_escape.eq(self.data == ESCAPE),
            takes.eq(self.valid & ~is_flag & ~is_escape),
            ends.eq(self.valid & is_flag & ((n_bytes != 0) | escaped)),
            n_payload.eq(n_bytes - HEADER_BYTES),
            self.payload.eq(Mux(escaped, self.data ^ FLIPPED, self.data)),
            self.position.eq(n_payload),
            self.payload_valid.eq(
                takes & (n_bytes >= HEADER_BYTES) & (n_payload < self.header.length)
            ),
            crc.data.eq(self.payload),
            crc.valid.eq(takes),
            crc.start.eq(self.valid & is_flag),
            self.good.eq(
                ends
                & ~escaped
                & crc.match_detected
                & (n_payload == self.header.length + CRC_BYTES)
                & (n_bytes >= HEADER_BYTES + CRC_BYTES)
                & (self.header.length[:3] == 0)
            ),
            self.bad.eq(ends & ~self.good),
        ]
        with m.If(self.valid):
            m.d.sync += escaped.eq(is_escape)
            with m.If(is_flag):
                m.d.sync += n_bytes.eq(0)
        with m.If(takes):
            with m.If(~n_bytes.all()):
                m.d.sync += n_bytes.eq(n_bytes + 1)
            with m.If(n_bytes < HEADER_BYTES):
                m.d.sync += self.header.eq(Cat(self.header.as_value()[8:], self.payload))
            with m.Elif(self.payload_valid):
                m.d.sync += self.word.eq(Cat(self.word[8:], self.payload))
        return m


class FrameTransmitter(wiring.Component):
    """Sends a frame: flag, header, payload, CRC, flag; the bytes between are escaped.

    A byte takes three cycles at least: it is fetched, chosen and registered, then offered.

    Members
    -------
    start : ``In(1)``
        Begins the frame of ``header`` in this cycle; only while ``idle``.
    header : ``In(HEADER)``
    idle : ``Out(1)``
    position : ``Out``
        Place in the payload of the byte that is wanted in the next cycle. From registers.
    payload : ``In(8)``
        That byte.
    o : ``Out(stream)`` of 8 bits
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "header": In(HEADER_LAYOUT),
                "idle": Out(1),
                "position": Out(range(MAX_LENGTH + 1)),
                "payload": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        header = Signal(HEADER.width)  # what is left of it
        length = Signal.like(self.header.length)
        count = Signal(range(MAX_LENGTH + 1))
        chosen = Signal(8)
        byte = Signal(8)
        special = Signal()
        escaping = Signal()
        moves = Signal()
        done = Signal()
        is_flag = Signal()
        in_header = Signal()
        in_payload = Signal()
        # What is chosen depends on ``count``, which changes with every byte, and a queue answers a
        # cycle later: two cycles after a byte has gone the next stands in ``byte``.
        settled = Signal(2)
        m.d.comb += [
            special.eq(~is_flag & ((byte == FLAG) | (byte == ESCAPE))),
            self.o.valid.eq(settled.all()),
            self.o.payload.eq(
                Mux(special, Mux(escaping, byte ^ FLIPPED, ESCAPE), byte),
            ),
            moves.eq(self.o.valid & self.o.ready),
            done.eq(moves & (~special | escaping)),
            crc.data.eq(byte),
            crc.valid.eq(done & (in_header | in_payload)),
            self.position.eq(count),
        ]
        m.d.sync += [byte.eq(chosen), settled.eq(Cat(1, settled[0]))]
        with m.If(self.idle | done):
            m.d.sync += settled.eq(0)
        with m.If(moves):
            m.d.sync += escaping.eq(special & ~escaping)
        with m.If(done):
            m.d.sync += count.eq(count + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [header.eq(self.header), length.eq(self.header.length)]
                with m.If(self.start):
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.comb += [is_flag.eq(1), chosen.eq(FLAG), crc.start.eq(1)]
                with m.If(done):
                    m.d.sync += count.eq(0)
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [in_header.eq(1), chosen.eq(header[:8])]
                with m.If(done):
                    m.d.sync += header.eq(header[8:])
                    with m.If(count == HEADER_BYTES - 1):
                        m.d.sync += count.eq(0)
                        with m.If(length == 0):
                            m.next = "CRC"
                        with m.Else():
                            m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += [in_payload.eq(1), chosen.eq(self.payload)]
                with m.If(done & (count + 1 == length)):
                    m.d.sync += count.eq(0)
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += chosen.eq(crc.crc.word_select(count[:2], 8))
                with m.If(done & (count == CRC_BYTES - 1)):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [is_flag.eq(1), chosen.eq(FLAG)]
                with m.If(done):
                    m.next = "IDLE"
        return m
