# SPDX-License-Identifier: Apache-2.0
"""Pages of the notebooks: their text and code, with the output of their last execution.

``make notebooks`` executes ``docs/notebooks/NAME.py`` and leaves ``sim_build/notebooks/NAME.ipynb``
with a checksum of the source. A page whose execution is missing or of another source says so in a
warning, which a strict build turns into an error.
"""

import hashlib
import html
import json
import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

LOG = logging.getLogger("mkdocs.hooks.notebook_pages")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every notebook."""
    root = Path(config["config_file_path"]).parent
    for source in sorted((root / "docs/notebooks").glob("*.py")):
        notebook = _executed(source, root / "sim_build/notebooks" / f"{source.stem}.ipynb")
        page = f"notebooks/{source.stem}.md"
        files.append(File.generated(config, page, content=as_page(notebook, source.name)))
    return files


def _executed(source: Path, path: Path) -> dict[str, Any]:
    """The executed notebook, or the bare one with a warning."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if path.is_file():
        notebook: dict[str, Any] = json.loads(path.read_text())
        if notebook["metadata"].get("source_sha256") == digest:
            return notebook
    LOG.warning("%s: has not been executed as it stands; run 'make notebooks'", source.name)
    import jupytext

    bare: dict[str, Any] = json.loads(jupytext.writes(jupytext.read(source), fmt="ipynb"))
    return bare


def as_page(notebook: dict[str, Any], name: str) -> str:
    """Markdown of a notebook."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and text.strip():
            if "SPDX-License-Identifier" in text and len(text.splitlines()) == 1:
                continue
            parts.append(f"```python\n{text}\n```")
            parts.extend(_output(output) for output in cell["outputs"])
    title, _, rest = "\n\n".join(parts).partition("\n")
    return (
        f"{title}\n\nThis page is the notebook `docs/notebooks/{name}`, executed when the site was "
        f"built. Open it with `jupytext --to ipynb docs/notebooks/{name}`.\n{rest}\n"
    )


def _output(output: dict[str, Any]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return _plain("".join(output["text"]))
    if kind in ("display_data", "execute_result"):
        data = {name: "".join(value) for name, value in output["data"].items()}
        if "image/svg+xml" in data:
            drawing = data["image/svg+xml"]
            return f'<div class="cell-output">{drawing[drawing.index("<svg") :]}</div>'
        if "text/html" in data:
            return f'<div class="cell-output">{data["text/html"]}</div>'
        return _plain(data["text/plain"])
    raise ValueError(f"notebook: an output of type {kind} cannot be shown")


def _plain(text: str) -> str:
    escaped = html.escape(ANSI.sub("", text).rstrip("\n"), quote=False)
    # Blank lines would end the block of HTML.
    escaped = escaped.replace("\n\n", "\n&#8203;\n")
    return f'<div class="cell-output"><pre><code>{escaped}</code></pre></div>'
