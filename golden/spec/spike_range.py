# SPDX-License-Identifier: Apache-2.0
"""The range of spikes that an axon may get, as margins. Standard library only.

A margin is what is left above the largest value that may come: ``value + margin`` reaches the
limit ``2**width`` exactly when the value is too large. A time step has the limit of the widest
activation, and a margin of that limit lets nothing pass: such an axon listens to nobody.
"""

from dataclasses import dataclass

from .params import ChipParams
from .widths import ACTIVATION_WIDTH, CHUNK_WIDTH, T_WIDTH, bits_for

MARGINS = ("c", "y", "x", "t")
CLOSED_WIDTH = bits_for(ACTIVATION_WIDTH + 1)  # a margin of a time step; the largest closes an axon


@dataclass(frozen=True)
class Limit:
    """How a field of a spike is compared.

    width : bits below the limit
    dropped : lowest bits that are not looked at, so that all margins fit one chunk
    """

    width: int
    dropped: int = 0


def limit_of(params: ChipParams, name: str) -> Limit:
    """The limit of field ``name`` of a spike, one of ``MARGINS``."""
    if name == "t":
        return Limit(T_WIDTH)
    width = {"c": params.c_width, "y": params.y_width, "x": params.x_width}[name]
    if name != "c":
        return Limit(width)
    spare = CHUNK_WIDTH - CLOSED_WIDTH - params.y_width - params.x_width
    dropped = max(0, width - max(1, spare))
    return Limit(width - dropped, dropped)


def margins_of(params: ChipParams, last: dict[str, int] | None) -> dict[str, int]:
    """Margins for values up to ``last``, by field; ``None``: of an axon that listens to nobody."""
    if last is None:
        return dict.fromkeys(MARGINS, 0) | {"t": 1 << T_WIDTH}
    limits = {name: limit_of(params, name) for name in MARGINS}
    return {
        name: (1 << limit.width) - 1 - (last[name] >> limit.dropped)
        for name, limit in limits.items()
    }
