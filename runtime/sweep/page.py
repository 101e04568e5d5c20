# SPDX-License-Identifier: Apache-2.0
"""``sweep.html``: accuracy over SOPs, cycles and energy, and every point's figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report_html.page import HERE, document
from ..report_html.scatter import Dot, scatter
from ..report_html.text import escape, scrolled, section
from .tables import cells, front, heads

if TYPE_CHECKING:
    from .sweep import Point

PANELS = ("SOPs per image", "cycles from image to image (estimated)", "energy, nJ per image")


def sweep_page(title: str, points: Sequence["Point"], n_images: int) -> str:
    """HTML of a sweep that needs nothing beside it."""
    best = front(points)
    metric = next(p.figures["metric"] for p in points if not p.refused)
    head = (
        "<header>\n<p class='kind'>stemcore · sweep</p>\n"
        f"<h1>{escape(title)}</h1>\n<p class='lead'>{len(points)} points, {escape(metric)} on "
        f"{n_images} test images</p>\n</header>\n"
    )
    drawing = scatter(_dots(points, best), PANELS, f"{metric}, %")
    figure = f'<figure class="pareto">{scrolled(drawing, "accuracy over cost")}</figure>'
    lead = (
        "A ring marks a point that no other surpasses in accuracy and SOPs at once. The standard "
        "error of an accuracy says how far that of other images would lie away."
    )
    parts = [
        head,
        section("front", "Accuracy over cost", [figure], lead),
        section("points", "All points", [_table(points, best)]),
    ]
    style = (HERE / "comparison.css").read_text(encoding="utf-8")
    footer = "All figures are in sweep.json beside this page."
    return document(f"sweep of {title}", parts, footer=footer, style=style)


def _dots(points: Sequence["Point"], best: Sequence[bool]) -> list[Dot]:
    """Points with one value of the option of the fewest values have one colour."""
    options = list(points[0].choice)
    n_values = {name: len({p.choice[name] for p in points}) for name in options}
    several = [name for name in options if n_values[name] > 1]
    name = min(reversed(several), key=n_values.__getitem__) if len(several) > 1 else None
    return [
        Dot(
            label=f"{p.label}: {100 * p.figures['accuracy']:.2f} %",
            series="" if name is None else f"{name.replace('_', '-')} {p.choice[name]}",
            x=(p.figures["sops"], p.figures["interval"], p.figures["energy_pj"] / 1e3),
            y=100 * p.figures["accuracy"],
            marked=is_best,
        )
        for p, is_best in zip(points, best, strict=True)
        if not p.refused
    ]


def _table(points: Sequence["Point"], best: Sequence[bool]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads(points))
    rows = ""
    for point, is_best in zip(points, best, strict=True):
        row = cells(point, on_front=is_best)
        body = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        rows += f'<tr><th scope="row">{escape(row[0])}</th>{body}</tr>\n'
    table = (
        f'<table class="compare"><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>'
    )
    return f'<div class="compared" tabindex="0" role="region" aria-label="all points">{table}</div>'
