# SPDX-License-Identifier: Apache-2.0
"""Code in the pages runs as it stands; command lines exist with the options they are shown with."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stemcore.runtime.commands.registry import commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "docs/tutorial.md",
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n"
    r"(?P<code>.*?)^ *```$",
    re.M | re.S,
)
# Commands that take longer than a test may: their words are checked, they are not run.
TOO_LONG = ("synth",)
EVERYWHERE = [
    path
    for folder in (".", "docs", "docs/how-to", "docs/explanation", "models")
    for path in sorted((ROOT / folder).glob("*.md"))
]
MAKE = re.compile(r"`(?:RANDOM_NETWORKS=\d+ )?make ([a-z-]+)((?: [A-Z_]+=[^` ]+)*)`")


def _name(path):
    return str(path.relative_to(ROOT))


def blocks(page):
    """``(language, file, code)`` of every fenced block, in order, without the indent of a list.

    A block with a title is the text of the file of that name; None for others.
    """
    for match in BLOCK.finditer(page.read_text()):
        indent = match["indent"]
        lines = match["code"].splitlines()
        code = "\n".join(line.removeprefix(indent) for line in lines) + "\n"
        yield match["language"], match["file"], code


def command_lines(code):
    """The ``stemcore`` commands of a block, as lists of words."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["stemcore"]:
            yield words[1:]


def parsed(words):
    """The options of a command line; ``SystemExit`` where it is not one."""
    parser = argparse.ArgumentParser(prog=f"stemcore {words[0]}", allow_abbrev=False)
    commands()[words[0]].add_arguments(parser)
    return parser.parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_command_lines_are_commands_with_options_that_exist(page):
    for language, _, code in blocks(page):
        if language == "sh":
            for words in command_lines(code):
                parsed(words)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_code_runs_as_it_stands(page, tmp_path, monkeypatch):
    """Python blocks of a page in one namespace, and commands, in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"__name__": "__main__"}
    for language, file, code in blocks(page):
        if file is not None:
            Path(file).write_text(code)
            monkeypatch.delitem(sys.modules, Path(file).stem, raising=False)
        elif language == "python":
            exec(compile(code, _name(page), "exec"), names)
        elif language == "sh":
            for words in command_lines(code):
                if words[0] not in TOO_LONG:
                    run = subprocess.run(
                        [sys.executable, "-m", "stemcore", *words],
                        capture_output=True,
                        text=True,
                        check=False,
                    )
                    assert run.returncode == 0, f"stemcore {shlex.join(words)}\n{run.stderr}"


@pytest.mark.parametrize("page", EVERYWHERE, ids=_name)
def test_make_lines_name_targets_and_variables_that_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    known = set(re.findall(r"^#\? ([A-Z_]+) ", makefile, re.M))  # what `make help` lists
    for target, variables in MAKE.findall(page.read_text()):
        assert target in targets, f"{page}: make {target}"
        for variable in variables.split():
            assert variable.split("=")[0] in known, f"{page}: make {target} {variable}"
