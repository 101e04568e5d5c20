# SPDX-License-Identifier: Apache-2.0
"""``stemcore fpga``: what it refuses, and what it prints of a report."""

import pytest

import stemcore.runtime.commands.main as cli
from stemcore.runtime.fpga import build as module
from tests.support.board_figures import FIGURES, placement


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes", "9x9"], "error: nodes: LFE5U-85F, CABGA381, speed grade 6 holds 3 of preset"),
        (["--board", "ecp5_evn"], "error: board: must be one whose pins are known (arty_a7, "),
        (["--preset", "large"], "error: preset: a node must fit LFE5U-85F"),
        (["--dataset", "digits"], "error: dataset: must come with a model, none came; name one"),
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
    monkeypatch.setattr(module, "place_design", lambda board, folder, seed: placement(seed, mhz))
    monkeypatch.setattr(module, "pack", lambda folder, seed, path: path.write_bytes(b"bits"))
    met = mhz > FIGURES["clock_mhz"]
    assert cli.main(["fpga", "--seeds", "2"]) == (0 if met else 2)
    told = capsys.readouterr()
    assert f"chip_clk: {mhz} / {mhz} / {mhz} MHz (minimum, median, maximum of 2 seeds)" in told.out
    assert ("openFPGALoader --board ulx3s" in told.out) == met
    refusal = f"reaches chip_clk {mhz:g} of 75 MHz, board 40 of 25 MHz, so there is no bitstream"
    assert (refusal in told.err) != met
