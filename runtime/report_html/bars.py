# SPDX-License-Identifier: Apache-2.0
"""Layer by layer: figures, each with a bar that compares it down its column."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from ..engines.engine import ProgramEngine
from ..engines.registry import engines
from .run import Run
from .text import compact, escape, percent, scrolled, section, whole


@dataclass(frozen=True)
class LayerFigures:
    """Figures of a layer and image; None where the engine does not know.

    ``cycles`` of the busiest core: accumulate cycles, waiting for spikes included where the
    engine has a clock. ``utilisation``: SOPs / (lanes * cycles of all its cores).
    """

    name: str
    cores: int | None
    macs: float
    spikes: float
    sops: float | None = None
    cycles: float | None = None
    utilisation: float | None = None


def layer_figures(run: Run) -> list[LayerFigures]:
    """A row for every layer, in the network's order."""
    if "lane_utilisation" in run.report:
        keys = ("name", "cores", "macs", "spikes", "sops", "cycles", "utilisation")
        return [LayerFigures(**{key: row[key] for key in keys}) for row in run.report["layers"]]
    rows = []
    for layer in run.layers:
        population = layer.population
        spikes = int(run.spikes(population).sum()) / len(run.images)
        row = LayerFigures(population.name, cores=None, macs=layer.n_macs, spikes=spikes)
        if run.program and run.counters is not None:
            counters = [
                run.counters[core.x, core.y]
                for core in run.program.cores
                if core.layer == population.name
            ]
            sops, busy = (sum(c[key] for c in counters) for key in ("sops", "busy"))
            row = dataclasses.replace(
                row,
                cores=len(counters),
                sops=sops / len(run.images),
                cycles=max(c["busy"] for c in counters) / len(run.images),
                utilisation=sops / (run.program.params.lanes * max(1, busy)),
            )
        rows.append(row)
    return rows


COLUMNS = (("macs", "MACs"), ("sops", "SOPs"), ("spikes", "spikes"), ("cycles", "cycles"))


def bars_section(run: Run) -> str:
    """MACs, SOPs, spikes, cycles and utilisation of every layer, per image."""
    rows = layer_figures(run)
    highest = {key: max((getattr(row, key) or 0) for row in rows) or 1 for key, _ in COLUMNS}
    head = "".join(f'<th scope="col" class="bar">{title}</th>' for _, title in COLUMNS)
    body = []
    for row in rows:
        cells = "".join(_bar(key, getattr(row, key), highest[key], compact) for key, _ in COLUMNS)
        body.append(
            f'<tr><th scope="row">{escape(row.name)}</th><td>{run.shape_text(row.name)}</td>'
            f"<td>{whole(row.cores)}</td>{cells}"
            f"{_bar('utilisation', row.utilisation, 1, lambda value: percent(value, 1))}</tr>\n"
        )
    table = (
        '<table class="bars"><thead><tr><th scope="col">layer</th><th scope="col">C × H × W</th>'
        f'<th scope="col">cores</th>{head}<th scope="col" class="bar">utilisation</th></tr>'
        f"</thead>\n<tbody>\n{''.join(body)}</tbody></table>"
    )
    return section("layers", "Layers", [scrolled(table, "layers")], _explained(run))


def _bar(key: str, value: float | None, highest: float, said: Callable[[float], str]) -> str:
    if value is None:
        return '<td class="bar none">–</td>'
    width = 100 * min(1, value / highest)
    return (
        f'<td class="bar {key}"><span class="number">{said(value)}</span>'
        f'<span class="track"><i style="width:{width:.1f}%"></i></span></td>'
    )


def _explained(run: Run) -> str:
    if "lane_utilisation" in run.report:
        cycles = "Cycles are those in which the busiest core accumulates or waits for spikes"
    elif run.counters is not None:
        cycles = (
            "Cycles are additions of the busiest core, one word of weights each, as engine "
            "'program' counts them, without waiting"
        )
    else:
        chips = [name for name, engine in engines().items() if isinstance(engine, ProgramEngine)]
        return (
            f"Per image. Engine '{run.engine}' has no cores: SOPs, cycles and utilisation need a "
            f"chip, which {', '.join(chips)} have."
        )
    return f"Per image. {cycles}; utilisation is the share of lanes that add in them."
