# SPDX-License-Identifier: Apache-2.0
"""Points as rows: for the screen, for Markdown and for the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.energy import energy_text

if TYPE_CHECKING:
    from .sweep import Point

FIGURES = ("accuracy, %", "SOPs", "spikes", "cycles (estimated)", "energy", "cores")
BEST = "no other point has both"  # more accuracy and fewer SOPs


def heads(points: Sequence["Point"]) -> list[str]:
    """Names of the columns: options, figures, and whether a point is on the front."""
    return [*(name.replace("_", "-") for name in points[0].choice), *FIGURES, "front"]


def cells(point: "Point", *, on_front: bool) -> list[str]:
    """A point under :func:`heads`; where it was refused, why stands in the first figure."""
    values = list(point.choice.values())
    if point.refused:
        return [*values, f"refused: {point.refused}", *[""] * len(FIGURES)]
    f = point.figures
    error = f" ± {100 * f['accuracy_error']:.2f}" if f["accuracy_error"] is not None else ""
    return [
        *values,
        f"{100 * f['accuracy']:.2f}{error}",
        f"{f['sops']:,.0f}",
        f"{f['spikes']:,.0f}",
        f"{f['interval']:,.0f}",
        energy_text(f["energy_pj"]),
        f"{f['cores']}",
        "*" if on_front else "",
    ]


def front(points: Sequence["Point"]) -> list[bool]:
    """Which points none surpasses: at least as accurate with no more SOPs, and one of both better.

    Of equal ones all are on the front.
    """

    def surpasses(one: "Point", other: "Point") -> bool:
        a, b = one.figures, other.figures
        no_worse = a["accuracy"] >= b["accuracy"] and a["sops"] <= b["sops"]
        return no_worse and (a["accuracy"], a["sops"]) != (b["accuracy"], b["sops"])

    measured = [point for point in points if not point.refused]
    return [
        not point.refused and not any(surpasses(other, point) for other in measured)
        for point in points
    ]


def markdown(points: Sequence["Point"]) -> str:
    """One table."""
    rows = [heads(points), ["---"] * len(heads(points))]
    rows += [cells(p, on_front=best) for p, best in zip(points, front(points), strict=True)]
    return "".join(f"| {' | '.join(_plain(cell) for cell in row)} |\n" for row in rows)


def _plain(cell: str) -> str:
    return cell.replace("|", "\\|")


def screen(points: Sequence["Point"]) -> str:
    """In columns; reasons of refusals stand below."""
    shown, reasons = [heads(points)], []
    for point, best in zip(points, front(points), strict=True):
        row = cells(point, on_front=best)
        if point.refused:
            row[len(point.choice)] = "refused"
            reasons.append(f"refused      {point.label}: {point.refused}")
        shown.append(row)
    widths = [max(len(row[i]) for row in shown) for i in range(len(shown[0]))]
    n_options = len(points[0].choice)
    lines = [
        "  ".join(
            cell.ljust(width) if i < n_options else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]
    return "\n".join([*lines, *reasons])
