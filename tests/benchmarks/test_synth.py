# SPDX-License-Identifier: Apache-2.0
"""What surrounds synthesis; synthesis itself takes minutes and runs by `make synth`."""

import json

import pytest

from stemcore.benchmarks import synth
from stemcore.benchmarks.synth_spread import lines, note
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import node_verilog
from stemcore.runtime.toolchain.icarus import compile_verilog


@pytest.mark.sim
@pytest.mark.slow
def test_harness_joins_a_node(tmp_path):
    params = get_preset("tiny")
    paths = [tmp_path / "node.v", tmp_path / "located.v", tmp_path / "harness.v"]
    paths[0].write_text(node_verilog(params))
    paths[1].write_text(synth.located_verilog(params))
    paths[2].write_text(synth.harness_verilog(params))
    compile_verilog(paths, top="harness", out_dir=tmp_path, flags=["-Wno-portbind"])
    log = next(tmp_path.glob("harness-*/build.log")).read_text()
    assert "harness.v" not in log.replace(str(paths[2]), "", 1), log


def step(delay, kind, net):
    return {"delay": delay, "type": kind, "net": net, "to": {"cell": "end"}}


def test_critical_path_is_the_slowest_between_registers():
    inner = {"from": "posedge clk", "to": "posedge clk"}
    paths = [
        {**inner, "path": [step(0.5, "clk-to-q", "a"), step(2.0, "routing", "b")]},
        {**inner, "path": [step(0.5, "clk-to-q", "c"), step(3.0, "logic", "d")]},
        {"from": "<async>", "to": "posedge clk", "path": [step(9.0, "routing", "pin")]},
    ]
    assert synth.critical_path(paths) == [
        "  0.50 ns  +0.50  clk-to-q  c",
        "  3.50 ns  +3.00  logic     d",
    ]


def test_stored_figures_carry_their_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = {
        "board": "ecp5_85f",
        "preset": "ecp5",
        "seed": 3,
        "cells": {"LUT4": 7000},
        "fmax_mhz": 95.5,
        "command": "stemcore synth",
    }
    folder = tmp_path / "sim_build" / "synth"
    folder.mkdir(parents=True)
    (folder / "ecp5_85f-ecp5-seed3.json").write_text(json.dumps(result))
    other = result | {"board": "ecp5_evn", "fmax_mhz": 120.5}
    (folder / "ecp5_evn-ecp5-seed3.json").write_text(json.dumps(other))
    figures = list(synth.stored_figures())
    assert [(f.name, f.value, f.unit) for f in figures] == [
        ("ecp5, seed 3: LUT4", 7000, "cells"),
        ("ecp5, seed 3: Fmax", 95.5, "MHz"),
        ("ecp5 on ecp5_evn, seed 3: LUT4", 7000, "cells"),
        ("ecp5 on ecp5_evn, seed 3: Fmax", 120.5, "MHz"),
    ]
    assert {f.note for f in figures} == {"stemcore synth"}


def test_part_that_is_not_placed_here_is_refused():
    message = r"^board: must be one that nextpnr places for here \(.*ulx3s.*\), got arty_a7; .*"
    with pytest.raises(ValueError, match=message):
        synth.run_presets((), [1], 100.0, board="arty_a7")


def test_spread_over_seeds_is_kept_by_commit(tmp_path):
    for commit, seed, mhz in (("a", 1, 90.0), ("a", 2, 96.0), ("b", 1, 99.5), ("a", 3, 91.0)):
        commits = note(tmp_path, "board ecp5", commit, seed, mhz)
    assert lines(commits) == [
        "    commit           seeds  minimum   median  maximum",
        "    b                    1     99.5     99.5     99.5",
        "    a                    3     90.0     91.0     96.0",
    ]
    # A placement made again takes the place of the first, and other parts do not count.
    assert note(tmp_path, "board ecp5", "b", 1, 100.0)["b"] == {"1": 100.0}
    assert note(tmp_path, "other", "b", 1, 50.0) == {"b": {"1": 50.0}}
