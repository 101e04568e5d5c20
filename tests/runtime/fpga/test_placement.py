# SPDX-License-Identifier: Apache-2.0
"""What nextpnr is asked for, and when it is asked anew; nextpnr itself has its slow test."""

import json

import pytest

from stemcore.runtime.fpga import placement as module
from stemcore.runtime.fpga.build import make_design
from stemcore.runtime.fpga.placement import WEIGHT, place_design

REPORT = {"fmax": {}, "utilization": {}, "critical_paths": []}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Commands that were run, in the place of nextpnr."""
    commands = []

    def run(words, *, cwd, timeout_s):
        commands.append(words[1:])
        (cwd / words[words.index("--report") + 1]).write_text(json.dumps(REPORT))

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "find_program", lambda name, hint: name)
    return commands


@pytest.mark.parametrize("nodes", [(1, 1), (3, 1)])
def test_slow_paths_weigh_more_where_a_node_is_alone(tmp_path, asked, nodes):
    place_design(make_design("ulx3s", nodes=nodes), tmp_path, 1)
    (words,) = asked
    assert words[words.index(WEIGHT) + 1] == ("30" if nodes == (1, 1) else "3")
    assert "LFE5U-85F" in make_design("ulx3s").board.device and "--85k" in words


def test_a_placement_is_made_again_where_the_command_is_another(tmp_path, asked):
    design = make_design("ulx3s")
    first = place_design(design, tmp_path, 1)
    assert place_design(design, tmp_path, 1) == first and len(asked) == 1
    place_design(make_design("ulx3s", nodes=(1, 1)), tmp_path, 1)
    assert len(asked) == 2


def test_a_placement_that_an_earlier_version_described_is_made_again(tmp_path, asked):
    design = make_design("ulx3s")
    first = place_design(design, tmp_path, 1)
    kept = tmp_path / "placement-1.json"
    old = {name: value for name, value in first.items() if name != "critical_paths"}
    kept.write_text(json.dumps(old))
    assert place_design(design, tmp_path, 1).keys() == first.keys() and len(asked) == 2
