# SPDX-License-Identifier: Apache-2.0
"""A chip on a board, or whatever answers as one, at a port of this machine."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.results import part
from stemcore.golden.program.program import Program
from stemcore.golden.spec.codec import WORD_BYTES
from stemcore.golden.spec.params import ChipParams

from .engine import Feature, ProgramEngine, RunOptions
from .result import RunResult


@dataclass(frozen=True)
class Fpga(ProgramEngine):
    """Configures the chip at ``options.port``, reads its memories back, and runs the images.

    The chip shows what its output layers fire, and every core's counters; ``only_outputs`` of the
    result says so. Raises :class:`stemcore.runtime.host.transport.PortError`, a ``ValueError``,
    where the port or the chip behind it is not the right one or does not answer.
    """

    name: ClassVar[str] = "fpga"
    summary: ClassVar[str] = "a chip on a board, at a port"
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.COUNTERS, Feature.PORT})

    def look(self, port: str, params: ChipParams | None = None) -> str:
        """Who is at ``port``, in words, before anything takes long; nothing is changed there.

        params : sizes of nodes that the chip must have, where they are known
        """
        from ..host.board import Board
        from ..host.ports import open_port

        with open_port(port) as transport:
            board = Board(transport)
            whose = "of the preset that was chosen"
            chip = board.identify() if params is None else board.check_sizes(params, whose)
        return f"{port}: {chip.columns} x {chip.rows} nodes of {chip.params.lanes} lanes"

    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine; ``notes`` say how long the parts took, and what the line did."""
        from ..host.board import Board
        from ..host.ports import open_port

        assert options.port is not None  # stemcore.runtime.engines.registry.check_options
        started = time.perf_counter()
        with open_port(options.port) as transport:
            ran = Board(transport).run(program, np.asarray(images), options.progress)
            notes = transport.notes()
        shapes = {population.name: population.shape for population in program.output_populations}
        return RunResult(
            engine=self.name,
            outputs=ran.outputs,
            values={name: part(ran.outputs, shapes, name) for name in shapes},
            counters=ran.counters,
            only_outputs=True,
            wall_s=time.perf_counter() - started,
            notes={
                "configuration_flits": ran.n_flits,
                "configuration_bytes": WORD_BYTES * ran.configuration_words,
                "configure_s": round(ran.configure_s, 3),
                "check_s": round(ran.check_s, 3),
                "run_s": round(ran.run_s, 3),
                "samples": ran.samples,
                "bytes_in": WORD_BYTES * ran.words_in,
                "bytes_out": WORD_BYTES * ran.words_out,
                **notes,
            },
        )
