# SPDX-License-Identifier: Apache-2.0
"""Runs side by side: what differs in how they were made, and in what they found.

A comparison is a few tables with one column for each run, in the order in which they were named;
changes are against the first. Layers are matched by name, so that runs of different networks show
what they have in common and leave the rest out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from .energy import energy_text
from .run_folder import EARLIER
from .schema import REPORT_FILE, read_report

Report = Mapping[str, Any]
NONE = "–"
HASH_DIGITS = 12

# What was put in, beside the settings: those that differ are shown.
ORIGINS = ("hashes", "versions", "commit", "machine")
STAGES = {
    "torch_golden": "torch = golden",
    "golden_program": "golden = program",
    "golden_rtl": "golden = RTL",
}
VERDICTS = {True: "equal", False: "DIFFERENT", None: "not run"}


@dataclass(frozen=True)
class Row:
    """One quantity of every run.

    title : what it is
    texts : as it is shown, by run
    values : as numbers; None where a run has none, or it is no number
    change : of a number against the first run's, in words; None: its share
    """

    title: str
    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    change: Callable[[float, float], str] | None = None

    def changes(self) -> tuple[str, ...]:
        """Against the first run; empty for that one, and where either has no number."""
        first = self.values[0]
        return tuple(
            ""
            if index == 0 or value is None or first is None
            else (self.change or _share_of_change)(value, first)
            for index, value in enumerate(self.values)
        )


@dataclass(frozen=True)
class Table:
    """Rows under one heading; ``first`` is what their titles are."""

    title: str
    first: str
    rows: tuple[Row, ...]


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
        settings=Table("Settings that differ", "setting", tuple(_settings(reports))),
        figures=Table("Figures", "per image", tuple(_figures(reports))),
        layers=tuple(_layers(reports)),
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


# ---- settings


def _settings(reports: Sequence[Report]) -> Iterable[Row]:
    """Every setting, version, hash and so on that is not the same in all runs."""
    flat = [
        _flat("", report["settings"])
        | {
            name: value
            for origin in ORIGINS
            for name, value in _flat(origin, report[origin] or {}).items()
        }
        for report in reports
    ]
    for name in dict.fromkeys(key for one in flat for key in one):
        values = [one.get(name) for one in flat]
        if any(value != values[0] for value in values):
            is_hash = name.startswith("hashes.") or name == "commit.hash"
            texts = (_plain(v)[:HASH_DIGITS] if is_hash else _plain(v) for v in values)
            yield Row(name, tuple(texts), (None,) * len(values))


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Leaves of nested objects under their full names; lists are leaves."""
    if not isinstance(value, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for key, entry in value.items():
        found |= _flat(f"{name}.{key}" if name else key, entry)
    return found


def _plain(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


# ---- figures


def _share_of_change(value: float, first: float) -> str:
    if value == first:
        return "="
    return f"{100 * (value / first - 1):+.1f} %" if first else ""


def _points(value: float, first: float) -> str:
    return "=" if value == first else f"{100 * (value - first):+.2f} points"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def whole(value: float) -> str:
    """All digits, in groups of three."""
    return f"{value:,.0f}"


def _figures(reports: Sequence[Report]) -> Iterable[Row]:
    def row(
        title: str,
        text: Callable[[float], str],
        *place: str,
        change: Callable[[float, float], str] | None = None,
    ) -> Iterable[Row]:
        values = tuple(_at(report, place) for report in reports)
        if any(value is not None for value in values):
            yield _numbers(title, values, text, change)

    for key, title in STAGES.items():
        verdicts = [VERDICTS[report["bit_exact"][key]] for report in reports]
        yield Row(title, tuple(verdicts), (None,) * len(reports))
    metrics = " / ".join(dict.fromkeys(report["metric"] for report in reports))
    for key, what in (("float", "float"), ("quantized", "quantized"), ("rtl", "on the RTL")):
        yield from row(f"{metrics}, {what}", _percent, "accuracy", key, change=_points)
    title = f"{metrics}, with the cores' integration"
    yield from row(title, _percent, "integration", "accuracy", change=_points)
    yield from row("MACs", whole, "macs_per_image")
    yield from row("SOPs", whole, "sops_per_image")
    yield from row("spikes", whole, "spikes_per_image")
    for key in ("interval", "latency"):
        yield from row(f"cycles, {key}", whole, "cycles_per_image", key)
        yield from row(f"cycles, {key}, estimated", whole, "cycles_per_image", f"estimated_{key}")
    yield from row("energy of additions", energy_text, "energy_pj_per_image")
    yield from row("energy with memories and links", energy_text, "energy_memory", "pj_per_image")
    yield from row("lanes filled", _percent, "lane_utilisation", change=_points)
    yield from row("cores", whole, "cores")
    yield from row("neurons", whole, "neurons")
    yield from row("parameters", whole, "parameters")


def _numbers(
    title: str,
    values: tuple[float | None, ...],
    text: Callable[[float], str],
    change: Callable[[float, float], str] | None = None,
) -> Row:
    return Row(title, tuple(NONE if v is None else text(v) for v in values), values, change)


def _at(report: Report, place: Sequence[str]) -> float | None:
    """A field of a field; None where the run has it not."""
    value: Any = report
    for key in place:
        if not isinstance(value, Mapping) or value.get(key) is None:
            return None
        value = value[key]
    return float(value)


# ---- layers


def _layers(reports: Sequence[Report]) -> Iterable[Table]:
    """A table for each quantity that any run has, a row for each layer of any run."""
    rows = [{row["name"]: row for row in report["layers"]} for report in reports]
    names = merged([list(one) for one in rows])
    energies = [(report.get("energy_memory") or {"layers": {}})["layers"] for report in reports]
    picojoules = [{name: sum(parts.values()) for name, parts in one.items()} for one in energies]

    def table(
        title: str, text: Callable[[float], str], found: Sequence[Mapping[str, Any]]
    ) -> Table:
        return Table(
            title,
            "layer",
            tuple(_numbers(name, tuple(one.get(name) for one in found), text) for name in names),
        )

    def column(key: str) -> list[Mapping[str, Any]]:
        return [{name: row[key] for name, row in one.items()} for one in rows]

    tables = (
        table("SOPs of each layer", whole, column("sops")),
        table("Spikes of each layer", whole, column("spikes")),
        table("Cycles of each layer's busiest core", whole, column("cycles")),
        table("Energy of each layer, memories and links included", energy_text, picojoules),
    )
    return [t for t in tables if any(v is not None for row in t.rows for v in row.values)]


def merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names, each once; those that the first list has not stand behind what they follow."""
    found = list(lists[0])
    for names in lists[1:]:
        if names and names[0] not in found:
            found.insert(0, names[0])
        for before, name in pairwise(names):
            if name not in found:
                found.insert(found.index(before) + 1, name)
    return found


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
