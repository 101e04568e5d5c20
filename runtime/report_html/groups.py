# SPDX-License-Identifier: Apache-2.0
"""Cores that took turns on a chip with fewer: each group with its load, work and transfer."""

from collections.abc import Mapping
from typing import Any

from ..report.screen import virtual_text
from .run import Run
from .text import escape, scrolled, section, whole

HEAD = ("group", "cores", "load flits", "cycles", "flits in", "flits out", "layers")


def groups_section(run: Run) -> str:
    """A row a group, per image but for the load; nothing where all cores were there."""
    turns = run.report.get("virtual_cores")
    if turns is None:
        return ""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in HEAD)
    rows = "".join(_row(number, group) for number, group in enumerate(turns["groups"]))
    table = f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    lead = (
        f"{virtual_text(turns)}. Below, load is of a batch, the rest of an image. Other parts of "
        "this page show the cores where they are when all are there."
    )
    return section("groups", "Cores in turn", [scrolled(table, "groups of cores")], lead)


def _row(number: int, group: Mapping[str, Any]) -> str:
    layers = group["layers"]
    names = layers[0] if len(layers) == 1 else f"{layers[0]} .. {layers[-1]}"
    figures = (group["cores"], *(group[key] for key in ("load_flits", "cycles")))
    cells = [whole(value) for value in (*figures, group["flits_in"], group["flits_out"])]
    return (
        f'<tr><th scope="row">{number}</th>'
        + "".join(f"<td>{cell}</td>" for cell in (*cells, escape(names)))
        + "</tr>"
    )
