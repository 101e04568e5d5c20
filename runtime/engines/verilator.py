# SPDX-License-Identifier: Apache-2.0
"""The cycle-accurate engine: one compiled node, instantiated as often as the mesh has nodes.

The node is compiled once for a set of chip parameters: neither the mesh nor the network nor the
weights are part of it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore import folders
from stemcore.golden.program.program import Program

from .engine import Feature, ProgramEngine, RunOptions
from .result import RunResult, Timing


@dataclass(frozen=True)
class Verilator(ProgramEngine):
    """The gateware of a program, stepped clock by clock.

    ``options.out_dir`` keeps the compiled node. ``options.threads`` step the nodes (see
    :func:`stemcore.runtime.native.verilated_mesh.default_threads`); one writes waves, of each
    node into ``waves-X-Y.fst``. Raises :class:`stemcore.runtime.errors.EngineError` when nothing
    moves any more, when a core fires what it must not, or beyond ``cycle_limit`` cycles;
    ``ValueError`` for waves of a node that is not there.

    over_mesh : write the memories by WRITE packets instead of straight into the model
    """

    name: ClassVar[str] = "verilator"
    summary: ClassVar[str] = "the compiled gateware, cycle-accurate"
    aliases: ClassVar[tuple[str, ...]] = ("rtl",)
    features: ClassVar[frozenset[Feature]] = frozenset(Feature) - {Feature.PORT}

    over_mesh: bool = False
    cycle_limit: int = 2_000_000_000

    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine; ``notes`` say how much was stepped, on how many threads."""
        from ..native.run import run_program  # gateware takes its time to load

        ran = run_program(
            program,
            images,
            out_dir=options.out_dir or folders.engines(),
            over_mesh=self.over_mesh,
            cycle_limit=self.cycle_limit,
            progress=options.progress,
            waves_dir=options.waves_dir,
            waves_nodes=options.waves_nodes,
            threads=options.threads,
        )
        return RunResult(
            engine=self.name,
            outputs=ran.outputs,
            values=ran.values,
            counters=ran.counters,
            timing=Timing(start=ran.start, end=ran.end, layer_ends=ran.layer_ends, total=ran.total),
            build_s=ran.build_s,
            wall_s=ran.wall_s,
            notes=ran.notes,
        )
