# SPDX-License-Identifier: Apache-2.0
"""Pages that are files of the repository: each text has one home, and the site shows it too.

Links of such a file lead to the page of their target where it has one; others (to source files)
become plain text, since the site does not hold them. A link to nothing is an error.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "hdl/README.md": "gateware.md",
    "models/README.md": "models.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every file in ``PAGES``."""
    root = Path(config["config_file_path"]).parent
    for source, page in PAGES.items():
        text = _with_links(root, source, (root / source).read_text())
        files.append(File.generated(config, page, content=text))
    return files


def _with_links(root: Path, source: str, text: str) -> str:
    def link(match: re.Match[str]) -> str:
        label, target, anchor = match["text"], match["target"], match["anchor"] or ""
        if not target or "://" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in PAGES:
            return f"[{label}]({PAGES[path]}{anchor})"
        if path.startswith("docs/") and path.endswith((".md", ".svg")):
            # Some of these are made by other hooks; the build looks whether they are there.
            return f"[{label}]({path.removeprefix('docs/')}{anchor})"
        if not (root / path).exists():
            raise PluginError(f"{source}: the link to {target} must lead to a file; nothing there")
        return label

    return LINK.sub(link, text)
