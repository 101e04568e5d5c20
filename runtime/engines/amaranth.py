# SPDX-License-Identifier: Apache-2.0
"""The chip in Amaranth's own simulator: slow, but nothing is compiled; for small nets."""

import time
from collections.abc import Callable

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from stemcore.golden.program.program import Program
from stemcore.hdl.chip import Chip

from ..host.protocol import Protocol, core_recorders
from .result import EngineError, RunResult, Timing

Progress = Callable[[int, int], None]
LOOK = 200  # cycles between two looks at the progress


def run(
    program: Program,
    images: NDArray[np.integer],
    *,
    progress: Progress | None = None,
    cycle_limit: int = 2_000_000,
) -> RunResult:
    """Run ``images`` (N, C, H, W); everything goes over the mesh, as with a board.

    Raises :class:`EngineError` beyond ``cycle_limit`` cycles, or when the chip is quiet and the
    images are not done.
    """
    started = time.perf_counter()
    chip = Chip(params=program.params, columns=program.columns, rows=program.rows)
    protocol = Protocol(program, images)
    recorders = core_recorders(program, len(images))
    simulator = Simulator(chip)
    simulator.add_clock(1e-8)
    end_cycles: list[int] = []

    async def host(ctx):
        cycle, still = 0, 0
        ctx.set(chip.o.ready, 1)
        while protocol.samples_done < len(images):
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
            if still > 4 or cycle > cycle_limit:
                reason = "nothing moves any more" if still > 4 else f"{cycle} cycles have passed"
                raise EngineError(
                    f"{program.name}: {len(images)} images must come out, "
                    f"{protocol.samples_done} did, and {reason}"
                )
            if progress is not None and cycle % LOOK == 0:
                progress(protocol.samples_done, cycle)

    def watch(node, recorder):
        async def process(ctx):
            async for _, _, sent, flit in ctx.tick().sample(node.sent, node.sent_flit.as_value()):
                if sent:
                    recorder.see(flit)

        return process

    simulator.add_testbench(host)
    for position, recorder in recorders.items():
        simulator.add_process(watch(chip.nodes[position], recorder))
    simulator.run()
    values = {core.layer: recorders[core.x, core.y].values for core in program.cores}
    return RunResult(
        engine="amaranth",
        outputs=protocol.output.values,
        values=values,
        timing=Timing(
            start=np.zeros(0, np.int64),
            end=np.array(end_cycles),
            layer_ends={},
            total=end_cycles[-1],
        ),
        wall_s=time.perf_counter() - started,
    )
