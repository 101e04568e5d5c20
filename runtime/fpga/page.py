# SPDX-License-Identifier: Apache-2.0
"""The report of a board as a page."""

from collections.abc import Iterable
from typing import Any

from ..report_html.page import document
from ..report_html.text import escape
from .power_on import power_on_text


def page(report: dict[str, Any]) -> str:
    """HTML of what :func:`stemcore.runtime.fpga.build.describe` returns."""
    columns, rows = report["nodes"]
    title = f"{report['title']}, {columns} x {rows} nodes of {report['preset']}"
    bitstream = report["bitstream"] or "none: no placement meets the clock"
    summary = (
        f"{report['device']}; {report['clock_mhz']:g} MHz, {report['baud']:,.0f} baud. "
        f"Bitstream: {bitstream}."
    )
    parts = [
        f"<h1>{escape(title)}</h1>\n<p>{escape(summary)}</p>\n",
        _section(
            "Cells",
            ("cell", "number"),
            [(name, f"{count:,}") for name, count in report["cells"].items()],
        ),
        _section(
            "Use of the part",
            ("site", "used", "available", "share"),
            [
                (name, f"{u['used']:,}", f"{u['available']:,}", f"{u['used'] / u['available']:.1%}")
                for name, u in report["device_use"].items()
            ],
        ),
        _section(
            "Fmax in MHz",
            ("clock", "asked for", "minimum", "median", "maximum", "by seed"),
            [
                (
                    clock,
                    f["target"],
                    f["minimum"],
                    f["median"],
                    f["maximum"],
                    ", ".join(f"{seed}: {value}" for seed, value in f["by_seed"].items()),
                )
                for clock, f in report["fmax_mhz"].items()
            ],
        ),
        _section(
            "Where signals arrive latest",
            ("clock", "delay in ns", "at", "through the last cell of"),
            [(p["clock"], p["delay_ns"], p["to"], p["through"]) for p in report["worst_paths"]],
        ),
        *(
            f"<h2>Slowest path of {escape(clock)}</h2>\n<pre>{escape(chr(10).join(path))}</pre>\n"
            for clock, path in report["critical_paths"].items()
        ),
        f"<h2>After power-on</h2>\n<p>{escape(power_on_text(report['power_on']))}.</p>\n",
    ]
    if report["model"]:
        parts.append(_section("Network", ("figure", "value"), report["model"].items()))
    if report.get("netlist"):
        equal = "Nodes as netlist, simulated: equal to the RTL"
        parts.append(_section(equal, ("figure", "value"), report["netlist"].items()))
    return document(title, parts, footer="All figures are in report.json beside this page.")


def _section(title: str, head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    def line(cells: Iterable[object], mark: str) -> str:
        return "".join(f"<{mark}>{escape(str(cell))}</{mark}>" for cell in cells)

    body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n<tr>{line(head, 'th')}</tr>\n{body}</table>\n"
