# SPDX-License-Identifier: Apache-2.0
"""``stemcore fpga``: what it refuses, and what it prints of a report."""

import json

import pytest

import stemcore.runtime.commands.main as cli
from stemcore.runtime.fpga import build as module
from stemcore.runtime.fpga import netlist_run, network
from tests.support.board_figures import FIGURES, placement


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes", "9x9"], "error: nodes: LFE5U-85F, CABGA381, speed grade 6 holds 3 of preset"),
        (["--board", "ecp5_evn"], "error: board: must be one whose pins are known (arty_a7, "),
        (["--preset", "large"], "error: preset: a node must fit LFE5U-85F"),
        (["--dataset", "digits"], "error: dataset: must come with a model, none came; name one"),
        (["--simulate", "1"], "error: simulate: must come with a model, none came; name one"),
    ],
)
def test_what_cannot_be_built_is_refused(capsys, words, message):
    assert cli.main(["fpga", *words]) == 2
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("words", [["--nodes", "3"], ["--clock", "-1"], ["--seeds", "0"]])
def test_words_that_are_no_numbers_are_refused(capsys, words):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fpga", *words])
    assert ended.value.code == 2
    assert f"argument {words[0]}: must be" in capsys.readouterr().err


@pytest.mark.parametrize("mhz", [80.0, 60.0])
def test_report_is_printed_and_a_clock_that_is_missed_ends_with_2(
    tmp_path, monkeypatch, capsys, mhz
):
    monkeypatch.setattr(module, "synthesise_design", lambda design: (tmp_path, FIGURES))
    monkeypatch.setattr(module, "place_design", lambda design, folder, seed: placement(seed, mhz))
    monkeypatch.setattr(module, "pack", lambda folder, seed, path: path.write_bytes(b"bits"))
    met = mhz > FIGURES["clock_mhz"]
    assert cli.main(["fpga", "--seeds", "2"]) == (0 if met else 2)
    told = capsys.readouterr()
    assert f"chip_clk: {mhz} / {mhz} / {mhz} MHz (minimum, median, maximum of 2 seeds)" in told.out
    assert ("openFPGALoader --board ulx3s" in told.out) == met
    refusal = f"reaches chip_clk {mhz:g} of 75 MHz, board 40 of 25 MHz, so there is no bitstream"
    assert (refusal in told.err) != met


NETLIST = {"cells": "ecp5", "images": 1, "groups": 2, "flits": 9, "cycles": 99, "seconds": 1.0}


def test_netlists_of_the_boards_nodes_are_simulated_before_it_is_placed(
    tmp_path, monkeypatch, capsys
):
    asked = []

    def on_netlist(board, settings, n_images, *, n_nodes, say):
        asked.append((board.name, settings.model, settings.preset, n_images, n_nodes))
        return NETLIST

    monkeypatch.setattr(netlist_run, "run_on_netlist", on_netlist)
    monkeypatch.setattr(network, "network_on", lambda design, **words: None)
    monkeypatch.setattr(module, "synthesise_design", lambda design: (tmp_path, FIGURES))
    monkeypatch.setattr(module, "place_design", lambda design, folder, seed: placement(seed, 80.0))
    monkeypatch.setattr(module, "pack", lambda folder, seed, path: path.write_bytes(b"bits"))
    assert cli.main(["fpga", "--model", "digits_cnn", "--simulate", "1"]) == 0
    assert asked == [("ulx3s", "digits_cnn", "ecp5", 1, 3)]
    assert netlist_run.netlist_line(NETLIST) in capsys.readouterr().out.splitlines()
    assert json.loads((tmp_path / "report.json").read_text())["netlist"] == NETLIST
    assert "equal to the RTL" in (tmp_path / "report.html").read_text()


def test_netlists_need_images(capsys):
    assert cli.main(["synth", "--model", "digits_cnn"]) == 2
    message = "error: model: must come with --simulate N, its number of images, none came"
    assert capsys.readouterr().err.startswith(message)
