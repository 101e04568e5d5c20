# SPDX-License-Identifier: Apache-2.0
"""Docstrings as mkdocstrings is to read them: reStructuredText's marks become Markdown's."""

import re

import griffe

ROLE = re.compile(r":(?:func|class|mod|meth|exc|data|attr):`~?(?P<name>[\w.]+)`")
# A list of fields, "name : meaning" or "name, name : meaning", that stands after a paragraph.
FIELD = re.compile(r"^(?P<names>\w+(?:, \w+)*) : ", re.MULTILINE)

# A table of two columns between two lines of "===  ===".
TABLE = re.compile(
    r"^(?P<first>={3,} +)={3,}\n(?P<rows>(?:[^=\n].*\n)+)={3,} +={3,}$", re.MULTILINE
)


class MarkdownDocstrings(griffe.Extension):
    """Rewrites each docstring once, when its object has been read."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """The docstring with Markdown's marks; sections that numpy's form knows stay as they are."""
    text = TABLE.sub(_table, text)
    text = ROLE.sub(r"`\g<name>`", text).replace("``", "`").replace("\\*", "*")
    head, *sections = re.split(r"\n(?=\w[\w ]*\n-{3,}\n)", text)
    head = FIELD.sub(r"* `\g<names>`: ", head)
    head = re.sub(r"\n(?=\* `)", "\n\n", head, count=1)
    return "\n".join([head, *sections])


def _table(match: re.Match[str]) -> str:
    column = len(match["first"])
    rows = [(line[:column].strip(), line[column:].strip()) for line in match["rows"].splitlines()]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])
