# SPDX-License-Identifier: Apache-2.0
"""What every engine returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.routing import Node

from ..errors import EngineError

__all__ = ["Counters", "EngineError", "GroupRun", "RunResult", "Timing", "VirtualRun"]

Counters = Mapping[str, int]  # by the lower-case names of stemcore.golden.spec.fields.Control


@dataclass(frozen=True)
class Timing:
    """Clock cycles of a run; arrays have one entry per image.

    start : cycle in which the host sent the image's first flit
    end : cycle in which the host got the last END of the image's output
    layer_ends : per layer, the cycle in which its slowest core had sent its last END
    total : cycles in all, from reset
    begins : images that found the chip empty after a reset; the first one alone where all images
        are of one run
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    layer_ends: Mapping[str, NDArray[np.int64]]
    total: int
    begins: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class GroupRun:
    """A group of cores that took its turn on a chip with fewer cores than the program.

    cores : how many
    layers : that they compute, or a part of
    load_flits : that load and start them, once a batch
    load_words : of 8 bytes in which a host sends these to a board, WRITEs in bursts
    cycles : per image, from START to rest; None where the engine has no clock
    flits_in, flits_out : spikes and tokens between host and chip, per image
    """

    cores: int
    layers: tuple[str, ...]
    load_flits: int
    load_words: int
    cycles: float | None
    flits_in: float
    flits_out: float


@dataclass(frozen=True)
class VirtualRun:
    """How a program ran on a chip of ``n_cores``, a mesh of (columns, rows) nodes.

    batch : images for which a group was loaded once
    n_batches : times that every group was loaded
    """

    n_cores: int
    mesh: tuple[int, int]
    batch: int
    n_batches: int
    groups: tuple[GroupRun, ...]


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run.

    engine : name of the engine
    outputs : integers of the output population (N, C, H, W)
    values : integers that every population fired, by name (N, C, H, W)
    only_outputs : nobody sees into the chip: ``values`` has the output populations alone
    counters : per node (x, y), the counters of its core over the whole run; None where an engine
        has no cores
    timing : None where an engine has no clock
    build_s, wall_s : seconds of building the engine, and of running it
    virtual : how cores took turns, on a chip with fewer cores than the program
    """

    engine: str
    outputs: NDArray[np.int64]
    values: Mapping[str, NDArray[np.int64]]
    counters: Mapping[Node, Counters] | None = None
    timing: Timing | None = None
    only_outputs: bool = False
    build_s: float = 0.0
    wall_s: float = 0.0
    notes: Mapping[str, object] = field(default_factory=dict)
    virtual: VirtualRun | None = None
