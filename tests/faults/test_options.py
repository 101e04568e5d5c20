# SPDX-License-Identifier: Apache-2.0
"""No option is ignored without a word, and no value ends in anything but one error."""

import re

import numpy as np
import pytest

from stemcore.runtime.commands import main as command_line
from stemcore.runtime.commands.main import main
from stemcore.runtime.commands.registry import commands

MODEL = """
import torch
from torch import nn


def plain():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module
"""
OWN = ("--model", "models.py:plain")
ZOO = ("--model", "digits_cnn")
NINES = "9" * 400
FEW = ("--images", "4")

# Options that the command or the engine has no use for.
UNUSED = [
    (("sim", *ZOO, "--sim", "golden", "--mesh", "4x4"), r"mesh: engine 'golden' places nothing"),
    (("sim", *OWN, "--sim", "golden", "--cores", "4"), r"cores: engine 'golden' places nothing"),
    (("sim", *ZOO, "--sim", "golden", "--waves", "1"), r"waves: engine 'golden' has none"),
    (("sim", *ZOO, "--sim", "program", "--waves", "1"), r"waves: engine 'program' has none"),
    (("sim", *ZOO, "--sim", "amaranth", "--waves", "1"), r"waves: engine 'amaranth' has none"),
    (("sim", *ZOO, "--sim", "golden", "--threads", "2"), r"threads: engine 'golden' has none"),
    (("sim", *ZOO, "--sim", "program", "--threads", "2"), r"threads: engine 'program' has none"),
    (("check", *ZOO, "--mesh", "4x4"), r"mesh: check places nothing"),
    (("check", *OWN, "--cores", "4"), r"cores: check places nothing"),
    (("sparsify", *ZOO, "--tables", "rd20"), r"TABLES: must be none: the search finds them"),
    (("sim", *ZOO, "--data", "/nowhere"), r"data: must be .*; digits comes with the package"),
    (("train", *ZOO, "--data", "/nowhere"), r"data: must be .*; digits comes with the package"),
    (
        ("check", *OWN, "--dataset", "x.npz", "--data", "/nowhere"),
        r"data: must be .*; x\.npz is a path itself, and /nowhere would not be read",
    ),
    (("estimate", ".", "--bits", "4"), r"FOLDER: must come without options, .* --bits came"),
    (("synth", "--seed", "1", "--seeds", "3"), r"argument --seeds: not allowed with .* --seed"),
    (("info", "--json", "--clear-cache"), r"argument --clear-cache: not allowed with .*--json"),
    (("train", *ZOO, "--checkpoint", "x"), r"unrecognized arguments: --checkpoint x"),
    (("compare", "a"), r"RUNS: two runs or more must be named"),
]

# Values that mean nothing.
ODD = [
    (("sim", *OWN, "--cores", "0"), r"argument --cores: must be at least 1, got '0'"),
    (("sim", *OWN, "--cores", "-3"), r"argument --cores: must be at least 1, got '-3'"),
    (("sim", *OWN, "--mesh", "²x3"), r"argument --mesh: must be columns x rows"),
    (("sim", *OWN, "--mesh", "9" * 5000 + "x1"), r"argument --mesh: "),
    (("sim", *OWN, "--threads", "0"), r"argument --threads: must be 1 to 8, got '0'"),
    (("sim", *OWN, "--waves", "1,²"), r"argument --waves: must be all, or nodes"),
    (("sim", *OWN, "--images", "9" * 5000), r"argument --images: invalid int value"),
    (
        ("sim", *OWN, "--sim", "golden", "--accuracy-images", "5000"),
        r"accuracy-images: must lie in 1\.\.360, the test images of digits; got 5000",
    ),
    (("run", "net", "--images", "x.npy", "--threads", "0"), r"argument --threads: must be at l"),
    (("synth", "--seeds", "0"), r"argument --seeds: must be at least 1, got '0'"),
    (("synth", "--seed", "-1"), r"argument --seed: must be at least 1, got '-1'"),
    (("synth", "--freq", "nan"), r"argument --freq: must be a number above 0, in MHz, got 'nan'"),
    (("synth", "--freq", "-1"), r"argument --freq: must be a number above 0, in MHz, got '-1'"),
    (("train", *ZOO, "--epochs", "0"), r"argument --epochs: must be at least 1, got '0'"),
    (("train", *ZOO, "--seed", "abc"), r"argument --seed: invalid int value: 'abc'"),
    (("sparsify", *ZOO, "--budget", "nan"), r"BUDGET: must lie in 0\.\.100"),
    (("tables", "--images", "0"), r"images: must be at least 1, got 0"),
    *[
        (("check", *OWN, *FEW, "--tables", name), r".* is no table of 8 bits|TABLES: a table must")
        for name in ("rd1e3", f"rd{NINES}", f"rot{NINES}", f"rot{NINES * 20}", "drlo99", "+")
    ],
    *[
        (("check", *OWN, *FEW, f"--input={text}"), r"INPUT: must|input map .*: gain, offset and")
        for text in ("nan..1", "1..1", "5..1", "0..1e400", "0.5,0", ",", "..", "x", "1,2,3")
    ],
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODEL)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.uint8))


def _name(value):
    return " ".join(value)[:60] if isinstance(value, tuple) else "refused"


def said(words, capsys):
    """What a command says that must be refused with status 2."""
    try:
        status = main(list(words))
    except SystemExit as left:  # argparse's way
        status = left.code
    assert status == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(("words", "pattern"), UNUSED, ids=_name)
def test_an_option_that_changes_nothing_is_refused(words, pattern, capsys):
    assert re.search(rf"error: {pattern}", said(words, capsys))


@pytest.mark.parametrize(("words", "pattern"), ODD, ids=_name)
def test_values_without_a_meaning_are_refused(words, pattern, capsys):
    assert re.search(rf"error: ({pattern})", said(words, capsys))


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_number_of_every_command_is_checked(name, capsys):
    """Whatever options there are: text in the place of a number is an error of one line."""
    parser = command_line._command_parser(commands()[name])
    for action in parser._actions:
        if action.type in (None, str) or action.nargs == 0 or not action.option_strings:
            continue
        if getattr(action.type, "__name__", "") == "Path":
            continue
        words = [name, f"{action.option_strings[-1]}=odd"]
        positional = [one for one in parser._actions if not one.option_strings]
        words += ["x"] * len(positional)
        error = said(words, capsys)
        assert f"argument {action.option_strings[-1]}" in error.splitlines()[-1]
