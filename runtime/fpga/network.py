# SPDX-License-Identifier: Apache-2.0
"""A network on a board: its cores, and images per second at the board's clock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemcore.hdl.boards.board import HOST_MHZ

from ..prepare import compile_for_estimate
from ..settings import Settings
from .rates import BUS_HZ, estimate_rates, line_seconds
from .synthesis import Design


def link_of(design: Design) -> Callable[[float], float]:
    """Seconds of words between host and chip: on the serial line, or by DMA."""
    if design.board.platform:
        return lambda n_words: line_seconds(n_words, design.baud)
    return lambda n_words: n_words / BUS_HZ


def network_on(
    design: Design,
    *,
    model: str,
    dataset: str = "",
    data: Path | None = None,
    checkpoint: Path | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Compiles a network for the nodes of ``design`` and estimates how fast it runs there."""
    settings = Settings(
        model=model, dataset=dataset, data=data, checkpoint=checkpoint, preset=design.preset
    )
    done = compile_for_estimate(settings, say)
    clock_mhz = design.placed_clock_mhz
    rates, chip = estimate_rates(
        done.program,
        done.activity,
        n_nodes=design.columns * design.rows,
        clock_mhz=clock_mhz,
        link_seconds=link_of(design),
        host_mhz=HOST_MHZ if design.board.platform else BUS_HZ / 1e6,
        codec=design.codec,
    )
    found, wanted = (design.columns, design.rows), chip.mesh
    if len(chip.parts) > 1 and found != wanted:
        raise ValueError(
            f"nodes: must be {wanted[0]}x{wanted[1]} for {model}, whose {len(chip.whole.cores)} "
            f"cores take turns, got {found[0]}x{found[1]}"
        )
    return {
        "name": done.program.name,
        "model": model,
        "dataset": settings.dataset,
        "cores": len(chip.whole.cores),
        "clock_mhz": clock_mhz,
        **rates.to_dict(),
    }
