# SPDX-License-Identifier: Apache-2.0
"""What an engine is: a name, what it can do, and one call that returns a ``RunResult``.

A file of this package that defines one :class:`ProgramEngine` or :class:`NetworkEngine` is an
engine; :mod:`stemcore.runtime.engines.registry` finds it, and commands, help texts and tests take
their choices from there. They import every engine for that: what takes long to load (gateware,
torch) an engine imports when it runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import Node

from ..progress import Progress
from .result import RunResult


class Feature(StrEnum):
    """What an engine can do beyond computing values.

    CYCLES : it keeps the clock; ``RunResult.timing`` is set
    COUNTERS : ``RunResult.counters`` holds each core's counters
    WAVES : it writes the waves of nodes
    THREADS : it runs on as many threads as it is told
    PORT : it runs on what is at a port, which must be named
    """

    CYCLES = "cycle-accurate"
    COUNTERS = "counters"
    WAVES = "waves"
    THREADS = "threads"
    PORT = "port"


@dataclass(frozen=True)
class RunOptions:
    """How to run; an engine's results do not depend on any of it.

    out_dir : folder that keeps what an engine builds; None: the user's cache
    progress : called during the run
    waves_dir : folder for waves; None: no waves
    waves_nodes : nodes (x, y) whose waves are written; None: all that have a core
    threads : threads to run on; None: the engine's choice
    port : where the chip is, see stemcore.runtime.host.ports
    """

    out_dir: Path | None = None
    progress: Progress | None = None
    waves_dir: Path | None = None
    waves_nodes: Sequence[Node] | None = None
    threads: int | None = None
    port: str | None = None

    def needs(self) -> dict[Feature, str]:
        """Features that these options ask for, each with the option that does."""
        asked = {
            Feature.WAVES: "waves" if self.waves_dir is not None else None,
            Feature.THREADS: "threads" if self.threads is not None else None,
            Feature.PORT: "port" if self.port is not None else None,
        }
        return {feature: option for feature, option in asked.items() if option is not None}


class Engine(ABC):
    """What :class:`ProgramEngine` and :class:`NetworkEngine` share; derive from one of these two.

    The registry makes one object of the class, without arguments.

    name : unique, lower case; also ``RunResult.engine``
    summary : one line for help texts
    aliases : other names that users may say
    features : what it can do; an option that asks for more is refused before anything starts
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    features: ClassVar[frozenset[Feature]] = frozenset()


class ProgramEngine(Engine):
    """An engine that executes the memory images of a compiled program."""

    @abstractmethod
    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """Run ``images`` (N, C, H, W), integers on the input's scale, through ``program``.

        Of a part of a program, as runs on chips with fewer cores have, ``images`` has the shape
        (N, \\*program.input_shape) and ``values`` may lack neurons; else nothing is special.
        Every population of ``program.layers`` is in the result's ``values``. Raises
        :class:`stemcore.runtime.errors.EngineError` where the run does not come to its end, and
        ``ValueError`` for images or options that cannot be used.
        """


class NetworkEngine(Engine):
    """An engine that computes a lowered network, layer by layer; it needs no program."""

    @abstractmethod
    def run(
        self,
        network: Network,
        params: ChipParams,
        images: NDArray[np.integer],
        *,
        options: RunOptions,
    ) -> RunResult:
        """Run ``images`` (N, C, H, W) through ``network`` with the potentials of ``params``.

        As :meth:`ProgramEngine.run` otherwise.
        """
