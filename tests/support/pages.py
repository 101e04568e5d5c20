# SPDX-License-Identifier: Apache-2.0
"""Code blocks of the documentation's pages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Those whose code a reader is to run.
PAGES = [ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n"
    r"(?P<code>.*?)^ *```$",
    re.M | re.S,
)


def name_of(path: Path) -> str:
    """From the root of the repository."""
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> Iterator[tuple[str, str | None, str]]:
    """``(language, file, code)`` of every fenced block, in order, without the indent of a list.

    A block with a title is the text of the file of that name; None for others.
    """
    for match in BLOCK.finditer(page.read_text()):
        indent = match["indent"]
        lines = match["code"].splitlines()
        code = "\n".join(line.removeprefix(indent) for line in lines) + "\n"
        yield match["language"], match["file"], code


def command_lines(code: str) -> Iterator[list[str]]:
    """The ``stemcore`` commands of a block, as lists of words."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["stemcore"]:
            yield words[1:]
