# SPDX-License-Identifier: Apache-2.0
"""Configuration as a host sends it: runs of WRITE flits as bursts."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.bursts import (
    BURST,
    CHUNKS_PER_WORD,
    HEADER_KIND,
    MAX_COUNT,
    MIN_COUNT,
    burst_words,
)
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.widths import CHUNK_WIDTH

from .flits import Flits


def as_bursts(flits: Flits, formats: Formats) -> NDArray[np.uint64]:
    """Words of the stream (W) that the host side makes into ``flits`` (F) again, F >= W.

    WRITE flits that follow each other to one rectangle become bursts where that is shorter; all
    others stay as they are. ``ValueError`` for a flit of the kind that is a burst's header.
    """
    places = {name: (position, width) for name, position, width in formats.flit}
    payload_at = np.uint64(places["payload"][0])
    flits = np.asarray(flits, np.uint64)
    heads = flits & np.uint64((1 << places["payload"][0]) - 1)
    payloads = flits >> payload_at
    kind_at, kind_width = places["kind"]
    kinds = flits >> np.uint64(kind_at) & np.uint64((1 << kind_width) - 1)
    if headers := np.flatnonzero(kinds == HEADER_KIND).tolist():
        raise ValueError(
            f"flits: a host must send no {HEADER_KIND.name}, which heads a burst, got flit "
            f"{headers[0]} of {len(flits)}"
        )
    # A payload of more than a burst's 32 bits has to stay in a flit.
    fits = (kinds == Kind.WRITE) & (payloads >> np.uint64(CHUNK_WIDTH) == 0)
    breaks = np.flatnonzero((heads[1:] != heads[:-1]) | ~fits[1:] | ~fits[:-1]) + 1
    edges = [0, *breaks.tolist(), len(flits)]
    parts = [np.zeros(0, np.uint64)]
    for begin, end in pairwise(edges):
        for first in range(begin, end, MAX_COUNT):
            last = min(first + MAX_COUNT, end)
            if last - first < MIN_COUNT or not fits[first]:
                parts.append(flits[first:last])
                continue
            fields = formats.flit.unpack(int(flits[first]))
            fields |= {"kind": int(HEADER_KIND), "payload": BURST.pack(count=last - first)}
            chunks = np.zeros(CHUNKS_PER_WORD * (burst_words(last - first) - 1), np.uint64)
            chunks[: last - first] = payloads[first:last]
            shifts = np.arange(CHUNKS_PER_WORD, dtype=np.uint64) * np.uint64(CHUNK_WIDTH)
            data = np.bitwise_or.reduce(chunks.reshape(-1, CHUNKS_PER_WORD) << shifts, axis=1)
            parts += [np.array([formats.flit.pack(**fields)], np.uint64), data]
    return np.concatenate(parts)
