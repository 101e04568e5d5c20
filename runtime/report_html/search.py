# SPDX-License-Identifier: Apache-2.0
"""What a search of activation tables found for this network and data set, if there was one.

The choice of a scheme rests on a predicted loss with a standard error to spare, not on what its own
images say: the page shows both, and which is which.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..sparsify.pareto import Point, plot
from .run import Run
from .text import compact, escape, missing, percent, scrolled, section

TITLE = "Activation tables"
NAMES = tuple(field.name for field in fields(Point))


def search_section(run: Run, folder: Path) -> str:
    """Accuracy over SOPs, spikes and cycles from ``folder/pareto.json``."""
    path = folder / "pareto.json"
    if not path.is_file():
        why = "No search was run on this network: 'make sparsify' makes one."
        return section("pareto", TITLE, [missing(why)])
    try:
        found = json.loads(path.read_text())
        points = [_point(entry) for entry in found["points"]]
        drawing = plot(points, _point(found["none"]), "accuracy on harder training images, %")
        parts = [
            f'<figure class="pareto">{scrolled(drawing, "accuracy over cost")}</figure>',
            _judged(found),
            _on_test(found),
        ]
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        OSError,
    ) as error:
        why = (
            f"{path.name}: must be what 'make sparsify' writes, got {type(error).__name__}: "
            f"{error}; run it again"
        )
        return section("pareto", TITLE, [missing(why)])
    lead = (
        f"Choices of tables from dense to sparse. A ring marks what a scheme ends with: the "
        "sparsest choice whose predicted loss of accuracy, with the standard error of its figure "
        f"to spare, is at most {found['budget_points']} points. Predicted from all points together "
        "by how far the outputs move; the accuracy drawn for one point alone scatters by its "
        "standard error, up as well as down."
    )
    return section("pareto", TITLE, parts, lead)


def _point(entry: Mapping[str, Any]) -> Point:
    return Point(**{name: entry[name] for name in NAMES})


def _judged(found: Mapping[str, Any]) -> str:
    """What each choice was judged by, and its own figure, in percentage points."""
    rows = "".join(
        f'<tr><th scope="row">{escape(scheme)}</th><td>{_points(entry["predicted"])}</td>'
        f"<td>{_points(entry['error'])}</td>"
        f"<td><b>{_points(entry['predicted'] + entry['error'])}</b></td>"
        f"<td>{_points(entry['lost'])}</td></tr>"
        for scheme, entry in found["chosen"].items()
    )
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in (
            "points lost, on the search's images",
            "predicted",
            "standard error",
            f"judged by, at most {found['budget_points']}",
            "own figure",
        )
    )
    table = f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return scrolled(table, "what the choices were judged by")


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _on_test(found: Mapping[str, Any]) -> str:
    none = found["none"]["test"]
    rows = [_row("none", none, none)]
    rows += [_row(scheme, entry["test"], none) for scheme, entry in found["chosen"].items()]
    table = (
        '<table class="figures"><thead><tr><th scope="col">on test images</th>'
        '<th scope="col">accuracy</th><th scope="col">SOPs</th><th scope="col"></th>'
        '<th scope="col">spikes</th><th scope="col"></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return scrolled(table, "choices on test images")


def _row(scheme: str, test: Mapping[str, float], none: Mapping[str, float]) -> str:
    cells = "".join(
        f"<td>{compact(test[key])}</td>"
        f"<td>{'' if test is none else f'{100 * (test[key] / none[key] - 1):+.1f} %'}</td>"
        for key in ("sops", "spikes")
    )
    return (
        f'<tr><th scope="row">{escape(scheme)}</th><td>{percent(test["accuracy"])}</td>{cells}</tr>'
    )
