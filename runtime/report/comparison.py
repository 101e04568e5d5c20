# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: what differs in how they were made, and in what they found.

A comparison is a few tables with one column for each run, in the order in which they were named;
changes are against the first. Layers are matched by name, so that runs of different networks show
what they have in common and leave the rest out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .comparison_rows import Report, Table, figure_rows, layer_tables, setting_rows
from .run_folder import EARLIER
from .schema import REPORT_FILE, read_report


@dataclass(frozen=True)
class Comparison:
    """Runs by short names that tell them apart, and what there is to see.

    settings : those that differ; figures : of the whole run; layers : one table for each quantity
    notes : what to know before figures are set against each other
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    settings: Table
    figures: Table
    layers: tuple[Table, ...]
    notes: tuple[str, ...]


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """Reads and compares the runs in these folders, or report files.

    ``ValueError`` for fewer than two, one that is named twice, and what is no report.
    """
    if len(paths) < 2:
        raise ValueError(f"RUNS: two runs or more must be named, got {len(paths)}")
    files = [_file(path).resolve() for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise ValueError(f"RUNS: every run must be named once, {path} came more than once")
    reports = [read_report(path) for path in paths]
    return Comparison(
        names=short_names(files),
        paths=tuple(files),
        settings=Table("Settings that differ", "setting", tuple(setting_rows(reports))),
        figures=Table("Figures", "per image", tuple(figure_rows(reports))),
        layers=tuple(layer_tables(reports)),
        notes=tuple(_notes(reports)),
    )


def _file(path: Path) -> Path:
    return path / REPORT_FILE if path.is_dir() else path


def short_names(files: Sequence[Path]) -> tuple[str, ...]:
    """The fewest last folders of each path that tell all of them apart.

    A run that was kept is named with the folder that it was made in.
    """
    places = [_steps(f.parent if f.name == REPORT_FILE else f) for f in files]
    longest = max(map(len, places))
    for depth in range(1, longest + 1):
        names = ["/".join(place[-depth:]).lstrip("/") for place in places]
        if len(set(names)) == len(names):
            break
    return tuple(names)


def _steps(place: Path) -> list[str]:
    *steps, name = place.parts
    if len(steps) > 1 and steps[-1] == EARLIER:
        *steps, folder, _ = steps
        name = f"{folder}/{EARLIER}/{name}"
    return [*steps, name]


def _notes(reports: Sequence[Report]) -> Iterable[str]:
    def differ(*place: str) -> bool:
        values = [_leaf(report, place) for report in reports]
        return any(value != values[0] for value in values)

    if differ("hashes", "data"):
        yield (
            "The runs are not of the same images: spikes, SOPs, cycles and energy are means over "
            "different ones."
        )
    if differ("accuracy", "images"):
        counts = ", ".join(str(report["accuracy"]["images"]) for report in reports)
        yield f"Accuracies rest on different numbers of test images: {counts}."
    if any(report["differences"] for report in reports):
        yield "At least one run differs from golden; its figures are of a faulty network."


def _leaf(report: Report, place: Sequence[str]) -> Any:
    value: Any = report
    for key in place:
        value = value[key]
    return value


# ---- as text


def text_of(comparison: Comparison) -> str:
    """All tables as text, one below the other."""
    numbers = [f"[{n}]" for n in range(1, len(comparison.names) + 1)]
    parts = ["\n".join(f"{n} {name}" for n, name in zip(numbers, comparison.names, strict=True))]
    for table in (comparison.settings, comparison.figures, *comparison.layers):
        parts.append(f"{table.title}\n{_table_text(table, numbers)}")
    return "\n\n".join([*parts, *comparison.notes])


def _table_text(table: Table, numbers: Sequence[str]) -> str:
    if not table.rows:
        return "none"
    lines = [[table.first, *numbers]]
    for row in table.rows:
        cells = [
            f"{text} ({change})" if change else text
            for text, change in zip(row.texts, row.changes(), strict=True)
        ]
        lines.append([row.title, *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    made = [
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    ]
    rule = "-" * max(map(len, made))
    return "\n".join([made[0], rule, *made[1:]])
