# SPDX-License-Identifier: Apache-2.0
"""The chip in Amaranth's own simulator: slow, but nothing is compiled; for small nets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats

from ..errors import EngineError
from ..host.errors import check
from ..host.protocol import Protocol, Recorder, core_recorders
from ..progress import Progress
from .engine import Feature, ProgramEngine, RunOptions
from .result import RunResult, Timing

if TYPE_CHECKING:
    from stemcore.hdl.chip import Chip

LOOK = 200  # cycles between two looks at the progress
STILL = 4  # cycles without a flit in a quiet chip after which nothing can move any more
Process = Callable[[Any], Any]  # a coroutine function of Amaranth's simulator


@dataclass(frozen=True)
class Amaranth(ProgramEngine):
    """Everything goes over the mesh, as with a board.

    Raises :class:`EngineError` when the chip is quiet and the images are not done, ``ValueError``
    beyond ``cycle_limit`` cycles.
    """

    name: ClassVar[str] = "amaranth"
    summary: ClassVar[str] = "Amaranth's own simulator, for small nets"
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.CYCLES})

    cycle_limit: int = 2_000_000

    def run(
        self, program: Program, images: NDArray[np.integer], *, options: RunOptions
    ) -> RunResult:
        """As every engine; ``timing`` has the ends of the images alone."""
        from amaranth.sim import Simulator  # gateware takes its time to load

        from stemcore.hdl.chip import Chip

        started = time.perf_counter()
        chip = Chip(params=program.params, columns=program.columns, rows=program.rows)
        protocol = Protocol(program, images)
        recorders = core_recorders(program, len(images))
        simulator = Simulator(chip)
        simulator.add_clock(1e-8)
        end_cycles: list[int] = []
        simulator.add_testbench(
            _host(chip, protocol, len(images), self.cycle_limit, options.progress, end_cycles)
        )
        for position, recorder in recorders.items():
            simulator.add_process(_watch(chip.nodes[position], recorder))
        simulator.run()
        check(program.name, Formats(program.params), protocol.alerts)
        return RunResult(
            engine=self.name,
            outputs=protocol.output.values,
            values={core.layer: recorders[core.x, core.y].values for core in program.cores},
            timing=Timing(
                start=np.zeros(0, np.int64),
                end=np.array(end_cycles, np.int64),
                layer_ends={},
                total=end_cycles[-1] if end_cycles else 0,
            ),
            wall_s=time.perf_counter() - started,
        )


def _host(
    chip: "Chip",
    protocol: Protocol,
    n_images: int,
    cycle_limit: int,
    progress: Progress | None,
    end_cycles: list[int],
) -> Process:
    """Plays the host until all images are out; appends the cycle in which each one came."""

    async def host(ctx: Any) -> None:
        cycle, still = 0, 0
        ctx.set(chip.o.ready, 1)
        while protocol.samples_done < n_images:
            flit = protocol.offer()
            ctx.set(chip.i.valid, flit is not None)
            ctx.set(chip.i.payload.as_value(), flit or 0)
            _, _, ready, valid, payload, quiet = await ctx.tick().sample(
                chip.i.ready, chip.o.valid, chip.o.payload.as_value(), chip.quiet
            )
            cycle += 1
            if flit is not None and ready:
                protocol.taken()
            if valid:
                done = protocol.samples_done
                protocol.receive(payload)
                if protocol.samples_done > done:
                    end_cycles.append(cycle)
            still = still + 1 if quiet and flit is None and not valid else 0
            if still > STILL or cycle > cycle_limit:
                check(protocol.program.name, Formats(protocol.program.params), protocol.alerts)
                what = (
                    f"{protocol.program.name}: {n_images} images must come out, "
                    f"{protocol.samples_done} did, and "
                )
                if still > STILL:
                    raise EngineError(f"{what}nothing moves any more")
                raise ValueError(
                    f"{what}{cycle} cycles have passed, the limit of this engine; run fewer "
                    "images, or choose engine 'verilator'"
                )
            if progress is not None and cycle % LOOK == 0:
                progress(protocol.samples_done, cycle)

    return host


def _watch(node: Any, recorder: Recorder) -> Process:
    async def watch(ctx: Any) -> None:
        async for _, _, sent, flit in ctx.tick().sample(node.sent, node.sent_flit.as_value()):
            if sent:
                recorder.see(flit)

    return watch
