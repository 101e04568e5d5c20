# SPDX-License-Identifier: Apache-2.0
"""When a side of a stream is willing to transfer: seeded patterns of stalls and gaps."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator

import numpy as np

STALLS = {"free": 1, "half": 2, "third": 3, "rare": 8}
"""Patterns by name: willing in one of so many cycles, on average."""

Stall = str | Iterable[bool]
"""A key of ``STALLS``, or booleans of the user's own, cycle by cycle; after the last: willing."""


def seeded(*words: object) -> np.random.Generator:
    """Random numbers that depend on the variable ``SEED`` (default 0) and ``words`` alone.

    The same in every process and on every machine: what a simulation draws, a test can draw again.
    """
    digest = hashlib.sha256(f"{os.environ.get('SEED', '0')}:{words!r}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def willing(stall: Stall, rng: np.random.Generator | None = None) -> Iterator[bool]:
    """Endless: is this side of a stream willing to transfer in this cycle?

    Named patterns but ``free`` draw runs of willing and of unwilling cycles from ``rng``, so that
    bursts, single cycles and long waits all occur. Raises ``ValueError`` for an unknown name, or
    where a pattern needs ``rng`` and there is none.
    """
    if not isinstance(stall, str):
        return itertools.chain(stall, itertools.repeat(True))
    if stall not in STALLS:
        raise ValueError(f"stall: must be one of {', '.join(STALLS)}, got {stall!r}")
    if stall == "free":
        return itertools.repeat(True)
    if rng is None:
        raise ValueError(f"rng: stall pattern {stall!r} needs a generator, got None")
    return _runs(STALLS[stall], rng)


def _runs(period: int, rng: np.random.Generator) -> Iterator[bool]:
    while True:
        yield from itertools.repeat(True, int(rng.geometric(0.4)))
        pause = int(rng.geometric(0.4)) + int(rng.geometric(0.4)) * (period - 2)
        yield from itertools.repeat(False, pause)
