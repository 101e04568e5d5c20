# SPDX-License-Identifier: Apache-2.0
"""Rows of a comparison of runs: settings, figures and layers, one column for each run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .energy import energy_text
from .screen import STAGES

Report = Mapping[str, Any]
NONE = "–"
HASH_DIGITS = 12

# What was put in, beside the settings: those that differ are shown.
ORIGINS = ("hashes", "versions", "commit", "machine")
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


# ---- settings


def setting_rows(reports: Sequence[Report]) -> Iterable[Row]:
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


def figure_rows(reports: Sequence[Report]) -> Iterable[Row]:
    """Figures of the whole run that at least one run has."""

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


def layer_tables(reports: Sequence[Report]) -> Iterable[Table]:
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
