# SPDX-License-Identifier: Apache-2.0
"""Runs side by side as one page that needs nothing beside it."""

import hashlib
import re
from pathlib import Path

from stemcore.files import write_whole
from stemcore.folders import results

from ..report.comparison import Comparison
from ..report.comparison_rows import Row, Table
from .page import HERE, document
from .text import escape, section

NO_CHANGE = "\N{NO-BREAK SPACE}"
LONGEST = 60  # characters of the runs' names in the name of a file


def default_page(comparison: Comparison) -> Path:
    """``sim_build/compare/<names>.<hash>.html``; other runs, or another order, another file."""
    names = re.sub(r"[^A-Za-z0-9_.+-]", "_", "_".join(comparison.names))[:LONGEST]
    identity = "\n".join(map(str, comparison.paths))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return results() / "compare" / f"{names}.{digest}.html"


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Writes the page, whole or not at all, and returns its path."""
    write_whole(path, comparison_page(comparison))
    return path


def comparison_page(comparison: Comparison) -> str:
    """HTML of all tables; bars compare the runs within a row of numbers."""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in comparison.notes)
    parts = [
        _header(comparison),
        _section("settings", comparison.settings, comparison, bars=False),
        _section("figures", comparison.figures, comparison, notes=notes),
        *(
            _section(f"layers-{number}", table, comparison)
            for number, table in enumerate(comparison.layers)
        ),
    ]
    style = (HERE / "comparison.css").read_text(encoding="utf-8")
    return document(
        f"{len(comparison.names)} runs compared",
        parts,
        footer="All figures are in the report.json of each run.",
        style=style,
    )


def _header(comparison: Comparison) -> str:
    runs = "".join(f"<li>{escape(name)}</li>" for name in comparison.names)
    return (
        "<header>\n<p class='kind'>stemcore · comparison</p>\n"
        f"<h1>{len(comparison.names)} runs</h1>\n"
        f"<p class='lead'>Changes are against the first.</p>\n<ol class='runs'>{runs}</ol>\n"
        "</header>\n"
    )


def _section(
    name: str, table: Table, comparison: Comparison, *, bars: bool = True, notes: str = ""
) -> str:
    if not table.rows:
        return section(name, table.title, [f'<p class="missing">none</p>{notes}'])
    heads = "".join(
        f'<th scope="col" title="{escape(run)}">[{number}]</th>'
        for number, run in enumerate(comparison.names, 1)
    )
    rows = "".join(_row(row, bars=bars) for row in table.rows)
    markup = (
        f'<div class="compared" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f'<table class="compare"><thead><tr><th scope="col">{escape(table.first)}</th>{heads}</tr>'
        f"</thead>\n<tbody>\n{rows}</tbody></table></div>"
    )
    return section(name, table.title, [notes, markup])


def _row(row: Row, *, bars: bool) -> str:
    highest = max((value for value in row.values if value is not None), default=0)
    cells, changes = [], row.changes()
    for text, value, change in zip(row.texts, row.values, changes, strict=True):
        bar = ""
        if bars and value is not None and highest > 0:
            bar = f'<span class="scale"><i style="width:{100 * value / highest:.1f}%"></i></span>'
        # A line for the change in every cell, so that the bars of a row stand side by side.
        shown = f" <small>{escape(change or NO_CHANGE)}</small>" if any(changes) else ""
        cells.append(f"<td>{escape(text)}{shown}{bar}</td>")
    return f'<tr><th scope="row">{escape(row.title)}</th>{"".join(cells)}</tr>\n'
