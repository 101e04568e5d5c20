# SPDX-License-Identifier: Apache-2.0
"""Markdown from what the code says, for the pages that the hooks make."""

import inspect
import re
from collections.abc import Iterable


def markdown(text: str | None) -> str:
    """A docstring of the code, which uses reStructuredText's marks, as Markdown."""
    plain = inspect.cleandoc(text or "")
    plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", plain)
    return plain.replace("``", "`").replace("\\*", "*")


def text(words: str) -> str:
    """A paragraph."""
    return f"{words}\n"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (_cell(str(cell)) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return words[0].upper() + words[1:].rstrip(".") + "."


def words(text: str) -> str:
    """Plain text as Markdown: a ``<`` is a character, not the begin of a mark."""
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    """In one line, and with bars that do not end the cell; those in code do not."""
    parts = text.replace("\n", " ").split("`")
    return "`".join(p if i % 2 else p.replace("|", "\\|") for i, p in enumerate(parts))
