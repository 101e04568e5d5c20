# SPDX-License-Identifier: Apache-2.0
"""Code in the tutorial and the how-tos runs as it stands. ``make docs`` runs this."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import PAGES, blocks, command_lines, name_of

# Commands that take longer than a test may: their words are checked, they are not run.
TOO_LONG = ("synth",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, whose modules are forgotten with it: pages share their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_runs_as_it_stands(page):
    """Python blocks of a page in one namespace, and commands, in order, in an empty folder."""
    names = {"__name__": "__main__"}
    for language, file, code in blocks(page):
        if file is not None:
            Path(file).write_text(code)
        elif language == "python":
            exec(compile(code, name_of(page), "exec"), names)
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
