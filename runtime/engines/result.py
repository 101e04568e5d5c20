# SPDX-License-Identifier: Apache-2.0
"""What every engine returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.routing import Node

from ..errors import EngineError

__all__ = ["Counters", "EngineError", "RunResult", "Timing"]

Counters = Mapping[str, int]  # by the lower-case names of stemcore.golden.spec.fields.Control


@dataclass(frozen=True)
class Timing:
    """Clock cycles of a run; arrays have one entry per image.

    start : cycle in which the host sent the image's first flit
    end : cycle in which the host got the last END of the image's output
    layer_ends : per layer, the cycle in which its slowest core had sent its last END
    total : cycles in all, from reset
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    layer_ends: Mapping[str, NDArray[np.int64]]
    total: int


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run.

    engine : name of the engine
    outputs : integers of the output population (N, C, H, W)
    values : integers that every population fired, by name (N, C, H, W)
    counters : per node (x, y), the counters of its core over the whole run; None where an engine
        has no cores
    timing : None where an engine has no clock
    build_s, wall_s : seconds of building the engine, and of running it
    """

    engine: str
    outputs: NDArray[np.int64]
    values: Mapping[str, NDArray[np.int64]]
    counters: Mapping[Node, Counters] | None = None
    timing: Timing | None = None
    build_s: float = 0.0
    wall_s: float = 0.0
    notes: Mapping[str, object] = field(default_factory=dict)
