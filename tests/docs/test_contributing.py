# SPDX-License-Identifier: Apache-2.0
"""What CONTRIBUTING.md says of files to touch, against where its examples are mentioned."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("golden", "hdl", "compiler", "models", "runtime", "benchmarks", "stemcore")
# Most files that each may take.
MOST = {
    "a layer that is a convolution in another spelling": 4,
    "a neuron model": 3,
    "a format of models": 1,
    "an engine": 1,
    "a board": 1,
    "a command": 1,
    "a network of the zoo": 3,
    "a data set": 3,
}
# Whose examples have names that are common words: modules and classes count, words do not.
COMMON_WORDS = {"a neuron model", "a format of models", "an engine", "a command"}


def table_rows():
    text = (ROOT / "CONTRIBUTING.md").read_text().split("## To add something")[1]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| a"):
            yield cells


ROWS = {row[0]: row[1:] for row in table_rows()}


def files_of(what):
    """Files that a row names, its example in the place of NAME."""
    touched, _, example = ROWS[what]
    stems = {Path(path).stem for path in re.findall(r"`([^`]+)`", example)}
    assert len(stems) == 1
    (stem,) = stems
    paths = [path for path in re.findall(r"`([^`]+)`", touched) if "/" in path]
    return stem, {ROOT / path.replace("NAME", stem) for path in paths}


def mentions(what, stem, folders):
    """Sources that name the example: as a module, a registered name or a class."""
    camel = "".join(part.capitalize() for part in stem.split("_"))
    if what in COMMON_WORDS:
        modules = "|".join(rf"{folder}\.{stem}\b" for folder in folders)
        return _matching(re.compile(rf"{modules}|from \.{stem} import|\b{camel}\("))
    return _matching(
        re.compile(
            rf"\b(?:{camel}|build_{stem})\b|\.{stem} import|import {stem}\b|[\"']{stem}[\"']"
        )
    )


def _matching(name):
    paths = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {path for path in paths if name.search(path.read_text())}


def test_every_kind_of_addition_has_a_limit():
    assert set(ROWS) == set(MOST)


@pytest.mark.medium
@pytest.mark.parametrize("what", MOST)
def test_an_addition_touches_the_files_that_the_table_names(what):
    stem, files = files_of(what)
    assert all(path.is_file() for path in files), files
    assert len(files) == int(ROWS[what][1]) <= MOST[what]
    own = {path for path in files if path.stem == stem}
    folders = {path.parent.name for path in own}
    assert own | mentions(what, stem, folders) == files
