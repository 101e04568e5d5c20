# SPDX-License-Identifier: Apache-2.0
"""``tables.html``: all tables, with accuracy over SOPs, energy by part and cycles by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from stemcore.runtime.report.energy import PARTS, energy_text
from stemcore.runtime.report_html.page import HERE, document
from stemcore.runtime.report_html.scatter import Dot, scatter
from stemcore.runtime.report_html.text import escape, missing, scrolled, section, whole

from .table import Row, Table

CHANGES = (("IV", "V"), ("VI", "VII"))  # tables of accuracy, and of operations, row by row
Report = Mapping[str, Any]


def tables_page(
    tables: Sequence[Table], reports: Mapping[str, Report], left_out: Sequence[str]
) -> str:
    """HTML that needs nothing beside it.

    reports : contents of report.json of runs on the chip, by network and data set
    left_out : a line for each network without its data
    """
    head = (
        "<header>\n<p class='kind'>stemcore · tables</p>\n"
        "<h1>Counterparts of the paper's tables</h1>\n"
        f"<p class='lead'>{len(tables)} tables; figures of ours with the images that they rest on, "
        "and their standard error</p>\n</header>\n"
    )
    parts = [
        head,
        _accuracy(tables),
        _bars("energy", "Energy by part", "energy per image", _energy(reports), energy_text),
        _bars("cycles", "Cycles by layer", "cycles per image", _cycles(reports), whole),
        *(_table(table) for table in tables),
    ]
    if left_out:
        lines = "".join(f"<li>{escape(line)}</li>" for line in left_out)
        parts.append(section("left-out", "Left out", [f"<ul>{lines}</ul>"]))
    style = (HERE / "comparison.css").read_text(encoding="utf-8")
    footer = "All figures are in tables.json beside this page."
    return document("tables", parts, footer=footer, style=style)


def _accuracy(tables: Sequence[Table]) -> str:
    """Changes of accuracy over SOPs that are left, of one activation table in all layers."""
    by_number = {table.number: table for table in tables}
    dots = []
    for accuracy, operations in CHANGES:
        if accuracy not in by_number or operations not in by_number:
            continue
        sops = {(r.subject, r.what): r.ours for r in by_number[operations].rows}
        for row in by_number[accuracy].rows:
            change = sops.get((row.subject, row.what))
            if row.ours is not None and change is not None:
                label = f"{row.subject}, {row.what}: {row.ours:+.2f} points"
                dots.append(Dot(label, row.subject, (100 + change,), row.ours))
    title = "Accuracy over SOPs"
    if not dots:
        why = "Tables IV and V, or VI and VII, have the figures; none of the pairs was asked for."
        return section("accuracy", title, [missing(why)])
    drawing = scatter(dots, ("SOPs, % of those without tables",), "points of accuracy")
    figure = f'<figure class="pareto">{scrolled(drawing, "accuracy over SOPs")}</figure>'
    return section("accuracy", title, [figure], "One activation table in all layers.")


def _energy(reports: Mapping[str, Report]) -> dict[str, dict[str, float]]:
    return {
        name: {PARTS[part][0]: pj for part, pj in report["energy_memory"]["parts"].items()}
        for name, report in reports.items()
        if "energy_memory" in report
    }


def _cycles(reports: Mapping[str, Report]) -> dict[str, dict[str, float]]:
    found = {}
    for name, report in reports.items():
        layers = {one["name"]: one["cycles"] for one in report["layers"]}
        if layers and None not in layers.values():
            found[name] = layers
    return found


def _bars(
    name: str, title: str, unit: str, groups: Mapping[str, Mapping[str, float]], text: Any
) -> str:
    """A group of bars for each network, of the same length for its own largest figure."""
    if not groups:
        why = "'make sim' of a network leaves these figures; none of these networks was run here."
        return section(name, title, [missing(why)])
    parts = []
    for network, figures in groups.items():
        most = max(figures.values()) or 1.0
        rows = "".join(
            f'<tr><th scope="row">{escape(what)}</th><td>{escape(text(value))}'
            f'<span class="scale"><i style="width:{100 * value / most:.1f}%"></i></span></td></tr>'
            for what, value in figures.items()
        )
        parts.append(
            f"<h3>{escape(network)}</h3>"
            f'<table class="compare"><thead><tr><th scope="col"></th><th scope="col">'
            f"{escape(unit)}</th></tr></thead><tbody>{rows}</tbody></table>"
        )
    return section(name, title, parts)


def _table(table: Table) -> str:
    names = ("network", "figure", "ours", "standard error", "images", "paper", "difference", "why")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(_row(row) for row in table.rows)
    markup = (
        f'<div class="compared" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f'<table class="compare"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    title = f"{table.number}. {table.title}"
    return section(f"table-{table.number}", title, [markup], f"{table.note} Unit: {table.unit}.")


def _row(row: Row) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row.cells()[1:])
    return f'<tr><th scope="row">{escape(row.subject)}</th>{cells}</tr>\n'
