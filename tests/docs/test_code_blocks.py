# SPDX-License-Identifier: Apache-2.0
"""Command lines in the pages exist with their options, and so does what code imports."""

import argparse
import ast
import importlib
import re

import pytest

from stemcore.runtime.commands.registry import commands
from tests.support.pages import PAGES, ROOT, blocks, command_lines, name_of

EVERYWHERE = [
    path
    for folder in (".", "docs", "docs/how-to", "docs/explanation", "models")
    for path in sorted((ROOT / folder).glob("*.md"))
]
MAKE = re.compile(r"`(?:RANDOM_NETWORKS=\d+ )?make ([a-z-]+)((?: [A-Z_]+=[^` ]+)*)`")
INLINE = re.compile(r"`stemcore ([a-z]\w* [^`]+)`")


def parsed(words):
    """The options of a command line; ``SystemExit`` where it is not one."""
    parser = argparse.ArgumentParser(prog=f"stemcore {words[0]}", allow_abbrev=False)
    commands()[words[0]].add_arguments(parser)
    return parser.parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_are_commands_with_options_that_exist(page):
    for language, _, code in blocks(page):
        if language == "sh":
            for words in command_lines(code):
                parsed(words)


@pytest.mark.parametrize("page", EVERYWHERE, ids=name_of)
def test_commands_in_the_text_exist_with_their_options(page):
    for line in INLINE.findall(page.read_text()):
        words = line.split()
        if words[-1] not in ("--help", "NAME", ".."):  # a whole command, not a way to speak of one
            parsed(words)


@pytest.mark.parametrize("page", EVERYWHERE, ids=name_of)
def test_make_lines_name_targets_and_variables_that_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    known = set(re.findall(r"^#\? ([A-Z_]+) ", makefile, re.M))  # what `make help` lists
    for target, variables in MAKE.findall(page.read_text()):
        assert target in targets, f"{page}: make {target}"
        for variable in variables.split():
            assert variable.split("=")[0] in known, f"{page}: make {target} {variable}"


@pytest.mark.parametrize("page", EVERYWHERE, ids=name_of)
def test_what_code_imports_exists(page):
    """Also in blocks that are not run by a test, since what they show takes long."""
    for language, _, code in blocks(page):
        if language not in ("py", "python"):
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("stemcore"):
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name), f"{page}: {node.module}.{name.name}"
