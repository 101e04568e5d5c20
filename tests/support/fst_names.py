# SPDX-License-Identifier: Apache-2.0
"""Names of the signals of a file of FST waves: its block of scopes, which LZ4 compresses."""

import struct
from pathlib import Path

HIERARCHY_LZ4 = 6
ATTRIBUTE, ATTRIBUTE_END, SCOPE, SCOPE_END = 252, 253, 254, 255


def fst_names(path: Path) -> set[str]:
    """Signals by their paths, vectors with their bits: ``top.core.word[7:0]``."""
    data, at = path.read_bytes(), 0
    while data[at] != HIERARCHY_LZ4:
        at += 1 + struct.unpack_from(">Q", data, at + 1)[0]
    (length,) = struct.unpack_from(">Q", data, at + 1)
    return set(_names(_unpacked(data[at + 17 : at + 1 + length])))


def _names(entries):
    scopes, at = [], 0

    def text():
        nonlocal at
        end = entries.index(0, at)
        found, at = entries[at:end].decode(), end + 1
        return found

    def number():
        nonlocal at
        while entries[at] & 0x80:
            at += 1
        at += 1

    while at < len(entries):
        tag = entries[at]
        at += 1
        if tag == SCOPE:
            at += 1
            scopes.append(text())
            text()
        elif tag == SCOPE_END:
            scopes.pop()
        elif tag == ATTRIBUTE:
            at += 2
            text()
            number()
        elif tag != ATTRIBUTE_END:
            at += 1
            yield ".".join([*scopes, text().replace(" ", "")])
            number()
            number()


def _unpacked(data):
    """A block of LZ4: literals and copies of what came before."""
    found, at = bytearray(), 0
    while at < len(data):
        token = data[at]
        at += 1

        def more(count):
            nonlocal at
            while count >= 15 and data[at] == 255:
                count, at = count + 255, at + 1
            if count >= 15:
                count, at = count + data[at], at + 1
            return count

        n = more(token >> 4)
        found += data[at : at + n]
        at += n
        if at >= len(data):
            break
        offset = data[at] | data[at + 1] << 8
        at += 2
        for _ in range(4 + more(token & 15)):
            found.append(found[-offset])
    return bytes(found)
