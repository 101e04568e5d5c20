# SPDX-License-Identifier: Apache-2.0
"""Write bursts read as the host side reads them, for tests without gateware."""

from collections.abc import Iterable

from stemcore.golden.spec.fields import Formats, Kind


def flits_of_words(words: Iterable[int], formats: Formats) -> list[int]:
    """The flits that go to the chip. Raises where the words end within a burst."""
    flits, words = [], iter(words)
    for word in words:
        fields = formats.flit.unpack(word)
        if fields["kind"] != Kind.DATA:
            flits.append(word)
            continue
        left = fields["payload"]
        assert left < 1 << 16, f"a header: must have a count of 16 bits, got {left:#x}"
        while left:
            data = next(words, None)
            assert data is not None, f"a burst: {left} of its WRITEs are missing"
            for half in (data & 0xFFFF_FFFF, data >> 32)[: min(left, 2)]:
                flits.append(formats.flit.pack(**fields | {"kind": Kind.WRITE, "payload": half}))
                left -= 1
    return flits
