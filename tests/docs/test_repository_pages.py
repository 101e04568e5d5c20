# SPDX-License-Identifier: Apache-2.0
"""Markdown that is read in the repository: links lead somewhere, terms are defined once."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".", "docs", "docs/how-to", "docs/reference", "docs/explanation", "hdl", "models")
PAGES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s#]*)(?:#[^)\s]*)?\)")
TERM = re.compile(r"^(?P<term>.+) \{ #(?P<anchor>[\w-]+) \}$", re.MULTILINE)
# Pages that the site's hooks make; the strict build checks links to them.
GENERATED = re.compile(
    r"(reference|notebooks)/[\w-]+\.md$|(gateware|models|contributing|changelog)\.md$"
)


def _name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files(page):
    for match in LINK.finditer(page.read_text()):
        target = match["target"]
        if not target or "://" in target or GENERATED.search(target):
            continue
        assert (page.parent / target).exists(), f"{page}: nothing at {target}"


def test_glossary_defines_each_term_once_in_alphabetical_order():
    terms = [match["term"] for match in TERM.finditer((ROOT / "docs/glossary.md").read_text())]
    assert len(terms) > 40
    assert terms == sorted(set(terms), key=str.casefold)


def test_readme_is_a_door_of_two_screens():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 100
    figures = "\n".join(lines).split("## Ten figures\n")[1].split("\n## ")[0]
    rows = [line for line in figures.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 10
