# SPDX-License-Identifier: Apache-2.0
"""Frames on the serial line between a host and a chip: the one definition of their format.

Gateware, C header and reference page are made from it; Python sends and reads frames by it. The
line's bytes are framed as in RFC 1662: a frame begins and ends with ``FLAG``; ``FLAG`` and
``ESCAPE`` inside are sent as ``ESCAPE`` and the byte with ``FLIPPED`` inverted. So wherever bytes
are damaged, lost or added, the next frame is found. A frame is a header, a payload whose length the
header says, and the CRC-32 (ISO-HDLC, the one of Ethernet) of both, lowest byte first.

Both directions number their flits, from 0 at CONNECT. A frame says the number of its first flit,
the number of the flit that its sender expects next (which acknowledges those before), and how many
more the sender has room for. What is not acknowledged is sent again. Only the host has a clock for
that: it asks again where nothing comes; the chip answers every good frame. Nothing waits for ever.

Standard library only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from .bit_fields import BitFields

BAUD = 1_000_000  # of a board's bitstream, and of a port that names no other
FLAG = 0x7E
ESCAPE = 0x7D
FLIPPED = 0x20
FLIT_BYTES = 8  # a flit in a payload, lowest byte first; bits beyond the flit are zero
MAX_FLITS = 31  # of a frame: the most whose bytes the field `length` counts
CRC_BYTES = 4
COUNT_WIDTH = 16  # bits of the number of a flit; numbers go round
ROOM_WIDTH = 8


class FrameKind(IntEnum):
    """What a frame is; an answer has the kind of what it answers."""

    FLITS = 0
    CONNECT = 1
    READ = 2
    WRITE = 3


KIND_MEANINGS = {
    FrameKind.FLITS: "flits, or none: then it says `acknowledged` and `room` alone",
    FrameKind.CONNECT: "the host begins the session that the header names, unless it is "
    "the present one: both sides count flits from 0, and what was under way on the line is dropped",
    FrameKind.READ: "an access to a host register: payload ACCESS; the answer's is ANSWER",
    FrameKind.WRITE: "likewise, which happens once: a frame with the number of the last access is "
    "answered again, and nothing else happens",
}
HEADER = BitFields(
    "uart_header",
    (
        ("kind", 7),
        ("again", 1),
        ("session", 8),
        ("length", 8),
        ("sequence", COUNT_WIDTH),
        ("acknowledged", COUNT_WIDTH),
        ("room", ROOM_WIDTH),
    ),
)
HEADER_MEANINGS = {
    "kind": "of the frame",
    "again": "frames were lost or damaged: send again from `acknowledged` on",
    "session": "1 to 255, chosen by the host at CONNECT; frames of another session are answered, "
    "and otherwise ignored. 0: after a reset of the chip's side",
    "length": "bytes of payload, a multiple of 8",
    "sequence": "FLITS: number of the first flit. READ, WRITE: number of the access, which the "
    "host chooses and the answer repeats",
    "acknowledged": "number of the flit that the sender expects next",
    "room": "flits from there on that the sender can take; of the host 255: always",
}
ACCESS = BitFields("uart_access", (("address", 32), ("data", 32)))
ANSWER = BitFields("uart_answer", (("response", 32), ("data", 32)))
ANSWER_OKAY = 0  # other responses: the access was refused, and has changed nothing
HEADER_BYTES = HEADER.width // 8


@dataclass(frozen=True)
class Frame:
    """One frame; the fields are those of ``HEADER``, whose ``length`` is that of ``payload``."""

    kind: int
    session: int
    payload: bytes = b""
    sequence: int = 0
    acknowledged: int = 0
    room: int = (1 << ROOM_WIDTH) - 1
    again: int = 0

    def to_bytes(self) -> bytes:
        """The frame on the line, a flag at both ends."""
        header = HEADER.pack(
            kind=self.kind,
            again=self.again,
            session=self.session,
            length=len(self.payload),
            sequence=self.sequence,
            acknowledged=self.acknowledged,
            room=self.room,
        )
        body = header.to_bytes(HEADER_BYTES, "little") + self.payload
        body += crc32(body).to_bytes(CRC_BYTES, "little")
        # The escape first: the other replacement brings more of them.
        for byte in (ESCAPE, FLAG):
            body = body.replace(bytes([byte]), bytes([ESCAPE, byte ^ FLIPPED]))
        return bytes([FLAG]) + body + bytes([FLAG])

    def flits(self) -> list[int]:
        """Flits of the payload of FLITS."""
        return [
            int.from_bytes(self.payload[n : n + FLIT_BYTES], "little")
            for n in range(0, len(self.payload), FLIT_BYTES)
        ]


def read_frame(text: bytes) -> Frame | None:
    """The frame of what lay between two flags; None where it is damaged."""
    body = bytearray()
    pieces = text.split(bytes([ESCAPE]))
    body += pieces[0]
    for piece in pieces[1:]:
        if not piece:
            return None
        body += bytes([piece[0] ^ FLIPPED]) + piece[1:]
    if len(body) < HEADER_BYTES + CRC_BYTES:
        return None
    data, crc = body[:-CRC_BYTES], body[-CRC_BYTES:]
    if crc32(data) != int.from_bytes(crc, "little"):
        return None
    fields = HEADER.unpack(int.from_bytes(data[:HEADER_BYTES], "little"))
    payload = bytes(data[HEADER_BYTES:])
    if fields.pop("length") != len(payload) or len(payload) % FLIT_BYTES:
        return None
    return Frame(payload=payload, **fields)


class FrameReader:
    """Finds frames in the bytes of a line.

    Attributes
    ----------
    n_damaged : int
        Pieces between flags that were no frame.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.n_damaged = 0

    def read(self, text: bytes) -> Iterator[Frame | None]:
        """Takes bytes as they come; yields each frame that they end, None for a damaged one."""
        *whole, self._rest = (self._rest + text).split(bytes([FLAG]))
        # Without a flag for longer than any frame: what comes is none.
        limit = 2 * (HEADER_BYTES + MAX_FLITS * FLIT_BYTES + CRC_BYTES) + 1
        self._rest = self._rest[:limit]
        for piece in whole:
            if piece:
                frame = read_frame(piece)
                self.n_damaged += frame is None
                yield frame
