# SPDX-License-Identifier: Apache-2.0
"""How much of a model is run, and by which engine; checked before any work starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.virtual.chip import VirtualChip
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams

from .cluster.executors import NONE, check_cluster
from .engines.engine import NetworkEngine, ProgramEngine, RunOptions
from .engines.fpga import Fpga
from .engines.golden import Golden
from .engines.program import Program as ProgramInNumpy
from .engines.registry import DEFAULT, check_options, get_engine
from .engines.result import RunResult
from .engines.run import run_engine
from .host.nodes import check_nodes
from .image_ranges import check_engine
from .progress import Progress

# Images that the accuracy rests on: so many, or fewer of a large network.
ACCURACY_IMAGES, ACCURACY_MACS = 1000, 100e9

Waves = None | Literal["all"] | tuple[tuple[int, int], ...]  # nodes (x, y) whose waves are written


@dataclass(frozen=True)
class SimOptions:
    """What `make sim` does with the model that :class:`stemcore.runtime.settings.Settings` name.

    n_images : test images through every engine
    engine : name or alias of the last that runs
    accuracy_images : that accuracy rests on; None: as many as the work allows
    waves : nodes whose waves are written
    threads : that the engine runs on; None: its choice
    cores_on_chip : of a chip on which the program's cores take turns; None: all are there
    cluster : where ranges of images run; ``none``: all at once, in this process
    port : where the chip is, of an engine that runs on one
    """

    n_images: int = 4
    engine: str = DEFAULT
    accuracy_images: int | None = None
    waves: Waves = None
    threads: int | None = None
    cores_on_chip: int | None = None
    cluster: str = NONE
    port: str | None = None

    def __post_init__(self) -> None:
        waves_dir = Path() if self.waves else None
        check_options(
            self.chosen, RunOptions(waves_dir=waves_dir, threads=self.threads, port=self.port)
        )
        if check_cluster(self.cluster) != NONE:
            self._check_ranges()
        if self.accuracy_images is not None and self.accuracy_images < 1:
            raise ValueError(
                f"accuracy-images: must be 1 or more, got {self.accuracy_images}; leave it out for "
                f"up to {ACCURACY_IMAGES} as the network's size allows"
            )
        if self.cores_on_chip is not None:
            self._check_turns()

    def _check_ranges(self) -> None:
        check_engine(self.engine, bool(self.waves))
        if self.port is not None:
            raise ValueError(
                "CLUSTER: ranges of images run side by side, and one chip is at the port; leave "
                "CLUSTER or PORT out"
            )
        if self.cores_on_chip is not None:
            raise ValueError(
                "CLUSTER: ranges of images run on a chip with all cores of the program; leave "
                "CLUSTER or cores-on-chip out"
            )

    def _check_turns(self) -> None:
        if not self.has_chip:
            raise ValueError(
                f"cores-on-chip: engine {self.chosen.name!r} has no cores, so the option would "
                "change nothing; leave it out, or choose an engine that has a chip"
            )
        if self.waves:
            raise ValueError(
                "cores-on-chip: cores that take turns on the nodes have no waves of their own; "
                "leave out waves or this option"
            )

    @property
    def chosen(self) -> ProgramEngine | NetworkEngine:
        """The engine. ``ValueError`` where there is none of that name."""
        return get_engine(self.engine)

    @property
    def name(self) -> str:
        """Tells runs of one model and its settings apart: what figures depend on."""
        accuracy = f"-accuracy{self.accuracy_images}" if self.accuracy_images is not None else ""
        chip = f"-on{self.cores_on_chip}" if self.cores_on_chip is not None else ""
        return f"{self.chosen.name}-images{self.n_images}{accuracy}{chip}"

    @property
    def has_chip(self) -> bool:
        """Whether a program is compiled and run."""
        return not isinstance(self.chosen, NetworkEngine)

    @property
    def simulates(self) -> bool:
        """Whether an engine runs beside golden and the one that executes memory images."""
        return not isinstance(self.chosen, Golden | ProgramInNumpy)

    def look(self, params: ChipParams | None) -> str | None:
        """Who is at the port, in words; None where no port is meant. Raises
        :class:`stemcore.runtime.host.transport.PortError` where it is not the right one.

        params : sizes of its nodes, where they are known
        """
        if self.port is None or not isinstance(self.chosen, Fpga):
            return None
        return self.chosen.look(self.port, params)

    def check(self, program: Program) -> None:
        """Raises ``ValueError`` where the options do not fit the program, before anything runs."""
        if isinstance(self.waves, tuple):
            check_nodes(program, self.waves, "waves")

    def run(
        self,
        program: Program,
        images: NDArray[np.integer],
        waves_dir: Path,
        progress: Progress | None = None,
        chip: VirtualChip | None = None,
    ) -> RunResult:
        """The engine's run of a program, or its groups on ``chip``; waves go to ``waves_dir``."""
        nodes = None if self.waves is None or self.waves == "all" else self.waves
        return run_engine(
            self.chosen,
            program,
            images,
            progress=progress,
            waves_dir=waves_dir if self.waves else None,
            waves_nodes=nodes,
            threads=self.threads,
            chip=chip,
            port=self.port,
        )

    def run_network(
        self,
        network: Network,
        params: ChipParams,
        images: NDArray[np.integer],
        progress: Progress | None = None,
    ) -> RunResult:
        """The engine's run of a lowered network, where it needs no program."""
        return run_engine(
            self.chosen,
            None,
            images,
            network=network,
            params=params,
            progress=progress,
            threads=self.threads,
        )
