# SPDX-License-Identifier: Apache-2.0
"""The page as a whole: its parts in order, with style and script within it."""

from pathlib import Path

from .bars import bars_section
from .cycle_bars import cycles_section
from .energy_bars import energy_section
from .floorplan import floorplan_section
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
    title = escape(f"{run.report['model']} on {run.report['dataset']}")
    parts = [
        header(run),
        summary_section(run),
        bars_section(run),
        energy_section(run),
        cycles_section(run),
        floorplan_section(run),
        raster_section(run),
        pictures_section(run, folder),
        search_section(run, search or folder / "sparsify"),
    ]
    style, script = ((HERE / name).read_text() for name in ("style.css", "script.js"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} · stemcore</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{''.join(parts)}</main>\n<footer>All figures are in report.json beside this page."
        f"</footer>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def write_page(folder: Path, run: Run, search: Path | None = None) -> Path:
    """Writes :func:`page` to ``folder/report.html``, whole or not at all, and returns its path."""
    path = folder / "report.html"
    temporary = path.with_suffix(".html.tmp")
    temporary.write_text(page(run, folder, search), encoding="utf-8")
    temporary.replace(path)
    return path
