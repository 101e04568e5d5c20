# SPDX-License-Identifier: Apache-2.0
"""Where the energy goes, by layer and part, beside the ANN's by the same model."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..report.energy import PARTS, energy_text
from .run import Run
from .stacks import Piece, legend, stack
from .text import escape, missing, percent, scrolled, section

SPIKING, ANN, REGISTERS = "spikes", "ANN", "ANN, partial sums in registers"
WITHOUT = ("potentials",)  # parts that an accelerator with partial sums in registers saves


def energy_section(run: Run) -> str:
    """Bars of the whole, a table of its parts, bars of every layer, and what is assumed."""
    figures = run.energy
    if figures is None:
        why = f"Engine '{run.engine}' has no cores: energy needs a chip (SIM=program, ..)."
        return section("energy", "Energy", [missing(why)])
    memory = figures["energy_memory"]
    ann = memory["ann"]
    lead = (
        f"Per image, 45 nm, by one model for both: {energy_text(memory['pj_per_image'])} with "
        f"spikes, {energy_text(ann['pj_per_image'])} as an ANN on the same cores and memories, "
        f"{energy_text(ann['pj_per_image_in_registers'])} where the ANN keeps partial sums in "
        "registers, which spikes that come in any order do not allow."
    )
    operations = (
        f"Operations alone, memories left out: {energy_text(figures['energy_pj_per_image'])} of "
        "8-bit additions against the ANN's "
        f"{energy_text(figures['ann_energy_pj_per_image'])} of multiply-accumulates, as in the "
        "paper's model. Neither can be compared with the figures above."
    )
    parts = [
        _whole(memory),
        legend({f"part-{key}": titles[0] for key, titles in PARTS.items()}),
        _parts_table(memory),
        _layers(memory),
        f'<p class="note">{escape(operations)}</p>',
        f'<p class="note"><b>Spikes.</b> {escape(_sentence(memory["model"]))}</p>',
        f'<p class="note"><b>ANN.</b> {escape(_sentence(ann["model"]))}</p>',
    ]
    return section("energy", "Energy", parts, lead)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _pieces(parts: Mapping[str, float], which: int, left_out: Sequence[str] = ()) -> list[Piece]:
    """Pieces in the order of ``PARTS``; ``which``: 0 names them for spikes, 1 for the ANN."""
    total = sum(pj for key, pj in parts.items() if key not in left_out) or 1.0
    return [
        Piece(
            f"part-{key}",
            titles[which],
            parts[key],
            f"{energy_text(parts[key])} ({percent(parts[key] / total, 1)})",
        )
        for key, titles in PARTS.items()
        if key not in left_out
    ]


def _row(name: str, bar: str, figure: str, kind: str = "") -> str:
    return (
        f'<div class="row {kind}"><span class="name">{escape(name)}</span>{bar}'
        f'<span class="figure">{escape(figure)}</span></div>\n'
    )


def _whole(memory: Mapping[str, Any]) -> str:
    ann = memory["ann"]
    full = max(memory["pj_per_image"], ann["pj_per_image"]) or 1.0
    rows = (
        (SPIKING, _pieces(memory["parts"], 0), memory["pj_per_image"]),
        (ANN, _pieces(ann["parts"], 1), ann["pj_per_image"]),
        (REGISTERS, _pieces(ann["parts"], 1, WITHOUT), ann["pj_per_image_in_registers"]),
    )
    body = "".join(_row(name, stack(pieces, full), energy_text(pj)) for name, pieces, pj in rows)
    return f'<div class="stacks whole">\n{body}</div>'


def _parts_table(memory: Mapping[str, Any]) -> str:
    """The same in figures."""
    body = []
    for key, (ours, theirs) in PARTS.items():
        cells = ""
        for parts in (memory["parts"], memory["ann"]["parts"]):
            share = parts[key] / (sum(parts.values()) or 1.0)
            cells += f"<td>{energy_text(parts[key])}</td><td>{percent(share, 1)}</td>"
        name = ours if ours == theirs else f"{ours} / {theirs}"
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>\n')
    table = (
        '<table class="figures"><thead><tr><th scope="col">spikes / ANN</th>'
        '<th scope="col" colspan="2">spikes</th><th scope="col" colspan="2">ANN</th></tr></thead>'
        f"<tbody>\n{''.join(body)}</tbody></table>"
    )
    return scrolled(table, "energy by part")


def _layers(memory: Mapping[str, Any]) -> str:
    """Every layer twice: with spikes, and as the ANN."""
    ann = memory["ann"]["layers"]
    both = [*memory["layers"].values(), *ann.values()]
    full = max((sum(parts.values()) for parts in both), default=0.0) or 1.0
    body = ""
    for name, parts in memory["layers"].items():
        for title, which, own in ((name, 0, parts), ("ANN", 1, ann[name])):
            bar = stack(_pieces(own, which), full, thin=which == 1)
            figure = energy_text(sum(own.values()))
            body += _row(title, bar, figure, "second" if which else "first")
    return f'<h3>By layer</h3>\n<div class="stacks layers">\n{body}</div>'
