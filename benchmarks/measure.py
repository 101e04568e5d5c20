# SPDX-License-Identifier: Apache-2.0
"""One measured figure, and how to time a call."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """A number with its unit; ``note`` says on what it was measured."""

    name: str
    value: float
    unit: str
    note: str = ""
    digits: int = 0

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def best_seconds(call: Callable[[], object], *, at_least_s: float = 3.0, runs: int = 3) -> float:
    """Shortest wall time of ``call``, over ``runs`` calls or more until ``at_least_s`` have passed.

    The shortest is the one that other programs disturbed least. One call before does not count.
    """
    call()
    times: list[float] = []
    while len(times) < runs or sum(times) < at_least_s:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)
