# SPDX-License-Identifier: Apache-2.0
"""Puts the SVG pictures of a page into the page itself.

A picture in an ``<img>`` cannot see whether the reader chose light or dark; one that is part of the
page takes its colours. Markdown keeps the ordinary link, so that the file is found, checked and
shown by other readers of the same text.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

IMAGE = re.compile(r'<img alt="[^"]*" src="[^"]*/?pictures/(?P<name>[\w-]+)\.svg" ?/?>')


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's HTML with every ``pictures/NAME.svg`` in place of its ``<img>``."""
    folder = Path(config["docs_dir"]) / "pictures"

    def drawing(match: re.Match[str]) -> str:
        path = folder / f"{match['name']}.svg"
        if not path.is_file():
            raise PluginError(f"{page.file.src_uri}: the picture {path.name} must be in {folder}")
        text = re.sub(r"<!--.*?-->\s*", "", path.read_text(), flags=re.DOTALL)
        # The style is for those who look at the file alone; the page has its own.
        text = re.sub(r"<style>.*?</style>\s*", "", text, flags=re.DOTALL)
        return f'<div class="picture-frame">{text}</div>'

    return IMAGE.sub(drawing, html)
