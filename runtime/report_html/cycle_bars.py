# SPDX-License-Identifier: Apache-2.0
"""How each core spends the cycles of an image: accumulating, waiting, updating, firing."""

from collections.abc import Mapping

from stemcore.golden.program.program import CoreImage

from ..report.screen import amount
from .run import Run
from .stacks import Piece, legend, stack
from .text import compact, escape, missing, percent, section, whole

SHOWN = 40  # cores at most; beyond, the busiest of each layer
# Counters of the gateware that follow each other in a core, and what they stand for.
PHASES = {
    "busy": "accumulate",
    "stalled": "wait for the next operation",
    "update_cycles": "update",
}
FIRE = ("fire_cycles", "fire, while the next image is accumulated")


def cycles_section(run: Run) -> str:
    """A bar for every core, with a mark at the interval between images."""
    counters = run.rtl.counters if run.rtl else None
    if run.program is None or counters is None:
        why = "The split of cycles needs the gateware's counters (SIM=verilator)."
        return section("cycles", "Cycles", [missing(why)])
    n = len(run.images)
    per_image = {
        (core.x, core.y): {key: counters[core.x, core.y][key] / n for key in (*PHASES, FIRE[0])}
        for core in run.program.cores
    }
    interval, measured = run.interval
    longest = max(max(_sum(cycles), cycles[FIRE[0]]) for cycles in per_image.values())
    full = max(longest, interval or 0.0) or 1.0
    cores, chosen = _shown(run.program.cores, per_image)
    body = "".join(_row(core, per_image[core.x, core.y], full, interval) for core in cores)
    lead = f"Mean of {amount(n, 'image')}, {chosen}. "
    if interval is not None:
        lead += (
            f"The line marks the interval between images, {whole(interval)} cycles "
            f"({'measured' if measured else 'estimated'}): what is left up to it is idle. "
        )
        if measured and longest > interval:
            lead += (
                "The interval leaves the first image out, which finds the chip empty; here that "
                "was a long one, so that means pass the line. "
            )
    lead += "Waiting: a spike is there, and its tables are still being read."
    titles = {f"phase-{key}": title for key, title in (*PHASES.items(), FIRE)}
    return section(
        "cycles", "Cycles", [legend(titles), f'<div class="stacks cores">\n{body}</div>'], lead
    )


def _sum(cycles: Mapping[str, float]) -> float:
    """Cycles one after the other: firing overlaps with the rest."""
    return sum(cycles[key] for key in PHASES)


def _shown(
    cores: tuple[CoreImage, ...], per_image: Mapping[tuple[int, int], Mapping[str, float]]
) -> tuple[list[CoreImage], str]:
    """Cores that get a bar, and what they are."""
    if len(cores) <= SHOWN:
        return list(cores), "every core"
    busiest: dict[str, CoreImage] = {}
    for core in cores:
        before = busiest.get(core.layer)
        if before is None or _sum(per_image[core.x, core.y]) > _sum(per_image[before.x, before.y]):
            busiest[core.layer] = core
    return list(busiest.values()), f"the busiest core of each layer ({len(cores)} cores in all)"


def _row(core: CoreImage, cycles: Mapping[str, float], full: float, interval: float | None) -> str:
    bar = stack(
        [Piece(f"phase-{k}", title, cycles[k], compact(cycles[k])) for k, title in PHASES.items()],
        full,
    )
    key, title = FIRE
    fire = stack([Piece(f"phase-{key}", title, cycles[key], compact(cycles[key]))], full, thin=True)
    figure, mark = compact(_sum(cycles)), ""
    if interval:
        mark = f'<b style="left:{100 * interval / full:.2f}%"></b>'
        figure += f", {percent(_sum(cycles) / interval, 0)}"
    return (
        f'<div class="row"><span class="name">{escape(core.layer)} <small>({core.x}, {core.y})'
        f'</small></span><div class="pair">{bar}{fire}{mark}</div>'
        f'<span class="figure">{escape(figure)}</span></div>\n'
    )
