# SPDX-License-Identifier: Apache-2.0
"""The page of the frames on a serial line."""

from markup import markdown, sentence, table, text

from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.uart_frames import (
    ACCESS,
    ANSWER,
    CRC_BYTES,
    ESCAPE,
    FLAG,
    FLIPPED,
    HEADER,
    HEADER_BYTES,
    HEADER_MEANINGS,
    KIND_MEANINGS,
    MAX_FLITS,
)


def _fields(fields: BitFields, meanings: dict[str, str]) -> str:
    rows = [
        (
            f"{low + width - 1}..{low}" if width > 1 else str(low),
            f"`{name}`",
            sentence(markdown(meanings[name])),
        )
        for name, low, width in fields
    ]
    return table(("bits", "field", "meaning"), rows)


def uart_frames() -> str:
    """The page of the frames."""
    payloads = {
        "address": "byte address of the register",
        "data": "what is written, or was read",
        "response": "0: done; otherwise refused, and nothing has changed",
    }
    return "\n".join(
        [
            "# Frames on a serial line\n",
            text(
                "What a host and a chip behind a UART send each other. Written from "
                "`golden/spec/uart_frames.py`, which gateware, C header and driver use too. "
                "The line has 8 bits, no parity and one stop bit. How to use it: "
                "[Run on a board](../how-to/board.md)."
            ),
            "## On the line\n",
            text(
                f"A frame lies between two flags, `{FLAG:#04x}`. Inside, `{FLAG:#04x}` and "
                f"`{ESCAPE:#04x}` are sent as `{ESCAPE:#04x}` and the byte with `{FLIPPED:#04x}` "
                f"inverted. It has {HEADER_BYTES} bytes of header, lowest byte first, the payload, "
                f"and {CRC_BYTES} bytes of CRC-32 (ISO-HDLC) of both, lowest byte first. What is "
                "damaged is dropped whole."
            ),
            "## Header\n",
            _fields(HEADER, HEADER_MEANINGS),
            "## Kinds\n",
            table(
                ("number", "kind", "what it is"),
                [
                    (str(int(kind)), f"`{kind.name}`", sentence(markdown(meaning)))
                    for kind, meaning in KIND_MEANINGS.items()
                ],
            ),
            text(f"A frame has at most {MAX_FLITS} flits, 8 bytes each, lowest byte first."),
            "## Payload of READ and WRITE\n",
            "To the chip:\n",
            _fields(ACCESS, payloads),
            "The answer:\n",
            _fields(ANSWER, payloads),
            "## Rules\n",
            text(
                "The host first sends FLITS without flits, of session 0, to learn the chip's "
                "session; then CONNECT with another one, until that is answered. From then on both "
                "number their flits from 0. The chip answers every good frame. It takes flits of "
                "a frame whose `sequence` is the number it expects, and no others; whoever sees a "
                "later number, or a damaged frame, sets `again` in its next frame. The host has at "
                "most one register access under way, and repeats it with the same number. Where it "
                "receives nothing for longer than a frame takes, it sends again what is not "
                "acknowledged, with `again` set: it is the only side that keeps time."
            ),
        ]
    )
