# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from stemcore.golden.spec.uart_frames import (
    HEADER,
    HEADER_MEANINGS,
    KIND_MEANINGS,
    MAX_FLITS,
    Frame,
    FrameKind,
    FrameReader,
    read_frame,
)


def test_a_frame_packed_by_hand():
    frame = Frame(kind=FrameKind.READ, session=0x7E, payload=bytes(8), sequence=0x7D01, room=255)
    header, crc = "02 7d5e 08 01 7d5d 0000 ff", "0d e7 51 9d"
    assert frame.to_bytes() == bytes.fromhex(f"7e {header} {16 * '0'} {crc} 7e")
    assert read_frame(frame.to_bytes()[1:-1]) == frame


def test_frames_come_back_however_their_bytes_are_cut(rng):
    frames = [
        Frame(
            kind=int(rng.integers(4)),
            session=int(rng.integers(256)),
            payload=rng.bytes(8 * int(rng.integers(MAX_FLITS + 1))),
            sequence=int(rng.integers(1 << 16)),
            acknowledged=int(rng.integers(1 << 16)),
            room=int(rng.integers(256)),
            again=int(rng.integers(2)),
        )
        for _ in range(60)
    ]
    text = b"".join(frame.to_bytes() for frame in frames)
    reader, got = FrameReader(), []
    while text:
        n = int(rng.integers(1, 400))
        got += reader.read(text[:n])
        text = text[n:]
    assert got == frames and reader.n_damaged == 0


@pytest.mark.parametrize("kind", ["flip", "drop", "double", "insert"])
def test_any_damaged_byte_is_noticed(rng, kind):
    frame = Frame(kind=0, session=3, payload=rng.bytes(24), sequence=9)
    text = frame.to_bytes()
    for n in range(1, len(text) - 1):
        middle = {
            "flip": bytes([text[n] ^ 1 << int(rng.integers(8))]),
            "drop": b"",
            "double": text[n : n + 1] * 2,
            "insert": text[n : n + 1] + rng.bytes(1),
        }[kind]
        if middle == text[n : n + 1]:
            continue
        reader = FrameReader()
        got = list(reader.read(text[:n] + middle + text[n + 1 :] + text))
        # No other frame is seen, and the next one is found: whatever was added may be a flag.
        assert set(got) <= {frame, None} and got[-1] == frame
        assert None in got or kind == "insert"


def test_every_field_and_kind_has_a_meaning():
    assert list(HEADER_MEANINGS) == [name for name, _ in HEADER.widths]
    assert list(KIND_MEANINGS) == list(FrameKind)
    assert HEADER.width == 64


def test_a_field_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=re.escape("uart_header.session: must fit in 8")):
        Frame(kind=0, session=256).to_bytes()
