# SPDX-License-Identifier: Apache-2.0
"""Rows of ours, the paper's and why; tables of them."""

from dataclasses import asdict, dataclass
from typing import Any

from . import published

NO_COUNTERPART = "the paper has no such network"


@dataclass(frozen=True)
class Row:
    """One comparison. Numbers have one unit a table; None where there is no figure."""

    subject: str
    what: str
    ours: float | None
    paper: float | None
    why: str

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper


@dataclass(frozen=True)
class Table:
    """One table; ``unit`` is that of both figures."""

    number: str
    title: str
    unit: str
    note: str
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [{**asdict(row), "difference": row.difference} for row in self.rows]
        return {**asdict(self), "rows": rows}

    def to_markdown(self) -> str:
        """Heading, note, rows."""
        lines = [
            f"## {self.number}. {self.title}",
            "",
            f"{self.note} Unit: {self.unit}.",
            "",
            "| network | figure | ours | paper | difference | why |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.subject} | {row.what} | {_cell(row.ours)} | {_cell(row.paper)} | "
            f"{_cell(row.difference, signed=True)} | {row.why} |"
            for row in self.rows
        ]
        return "\n".join(lines) + "\n"


def _cell(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def counterpart(model: str, dataset: str) -> tuple[str | None, str]:
    """The paper's network nearest to one of ours, or None, and what sets them apart."""
    return published.COUNTERPARTS.get((model, dataset), (None, NO_COUNTERPART))


def relative(now: float, before: float) -> float:
    """The change in percent."""
    return 100 * (now / before - 1)
