# SPDX-License-Identifier: Apache-2.0
"""The memory images in numpy, core by core: tells a fault of the compiler from one of the RTL."""

import time
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import Program as ChipProgram
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.routing import Node

from .engine import Feature, ProgramEngine, RunOptions
from .result import RunResult

# golden's names for the gateware's counters (stemcore.golden.spec.fields.Control) that differ.
_NAMES = {"ops": "busy"}


class Program(ProgramEngine):
    """Values and counters of the chip from its memories alone; no clock."""

    name: ClassVar[str] = "program"
    summary: ClassVar[str] = "the memory images in numpy, no clock"
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.COUNTERS})

    def run(
        self, program: ChipProgram, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine."""
        started = time.perf_counter()
        result = run_program(program, images)
        wall_s = time.perf_counter() - started
        if options.progress is not None:
            options.progress(len(images), 0)
        return RunResult(
            engine=self.name,
            outputs=result.outputs,
            values=result.values,
            counters=_by_node(program, result.counters),
            wall_s=wall_s,
        )


def _by_node(
    program: ChipProgram, counters: Mapping[str, NDArray[np.int64]]
) -> dict[Node, dict[str, int]]:
    """Counters (images, cores) by name, as totals by node."""
    return {
        (core.x, core.y): {
            _NAMES.get(name, name): int(values[:, number].sum())
            for name, values in counters.items()
        }
        for number, core in enumerate(program.cores)
    }
