# SPDX-License-Identifier: Apache-2.0
"""Rows of ours, the paper's and why; tables of them."""

from dataclasses import asdict, dataclass
from typing import Any

from . import published
from .published import Counterpart

NO_COUNTERPART = "the paper has no such network"


@dataclass(frozen=True)
class Row:
    """One comparison. Numbers have one unit a table; None where there is no figure.

    ``images`` and ``error`` say how many test images an accuracy of ours comes from, and its
    standard error. ``comparable``: both figures are of the same data set, split and task.
    """

    subject: str
    what: str
    ours: float | None
    paper: float | None
    why: str
    images: int | None = None
    error: float | None = None
    comparable: bool = True

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, where the two can be compared."""
        if self.ours is None or self.paper is None or not self.comparable:
            return None
        return self.ours - self.paper

    def cells(self) -> list[str]:
        """As text: network, figure, ours, standard error, images, paper, difference, why."""
        return [
            self.subject,
            self.what,
            _cell(self.ours),
            _cell(self.error),
            f"{self.images or '-'}",
            _cell(self.paper),
            _cell(self.difference, signed=True),
            self.why,
        ]


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
            "| network | figure | ours | standard error | images | paper | difference | why |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(row.cells())} |" for row in self.rows]
        return "\n".join(lines) + "\n"


def _cell(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def counterpart(model: str, dataset: str) -> Counterpart:
    """The paper's network nearest to one of ours, if any, and what sets them apart."""
    none = Counterpart("", NO_COUNTERPART, same_task=False)
    return published.COUNTERPARTS.get((model, dataset), none)


def relative(now: float, before: float) -> float:
    """The change in percent."""
    return 100 * (now / before - 1)
