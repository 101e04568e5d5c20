# SPDX-License-Identifier: Apache-2.0
"""The page as a whole: its parts in order, with style and script within it."""

from collections.abc import Iterable
from pathlib import Path

from stemcore.files import write_whole

from .bars import bars_section
from .cycle_bars import cycles_section
from .energy_bars import energy_section
from .floorplan import floorplan_section
from .groups import groups_section
from .images import pictures_section
from .raster import raster_section
from .run import Run
from .search import search_section
from .summary import header, summary_section
from .text import escape

HERE = Path(__file__).parent
# The browser itself then refuses anything that does not lie within the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(run: Run, folder: Path, search: Path | None = None) -> str:
    """HTML of a run whose report.json and pictures lie in ``folder``.

    ``search`` is the folder of the search for activation tables; default: ``sparsify`` in it.
    """
    title = f"{run.report['model']} on {run.report['dataset']}"
    parts = [
        header(run),
        summary_section(run),
        bars_section(run),
        energy_section(run),
        cycles_section(run),
        groups_section(run),
        floorplan_section(run),
        raster_section(run),
        pictures_section(run, folder),
        search_section(run, search or folder / "sparsify"),
    ]
    # Only runs on a data set have that file.
    footer = "All figures are in report.json beside this page." if run.dataset else ""
    return document(title, parts, footer=footer, script=(HERE / "script.js").read_text())


def document(
    title: str, parts: Iterable[str], *, footer: str, style: str = "", script: str = ""
) -> str:
    """A whole page around ``parts``, which are markup; ``title`` and ``footer`` are text.

    ``style`` is added to what all pages share.
    """
    shared = (HERE / "style.css").read_text(encoding="utf-8")
    ends = f"<script>\n{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · stemcore</title>\n<style>\n{shared}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n<footer>{escape(footer)}</footer>\n"
        f"{ends}</body>\n</html>\n"
    )


def write_page(folder: Path, run: Run, search: Path | None = None) -> Path:
    """Writes :func:`page` to ``folder/report.html``, whole or not at all, and returns its path."""
    path = folder / "report.html"
    write_whole(path, page(run, folder, search))
    return path
