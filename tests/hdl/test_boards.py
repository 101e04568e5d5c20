# SPDX-License-Identifier: Apache-2.0
"""Boards: one file is a board, and commands take their choices from there."""

import re
import sys

import pytest

import stemcore.hdl.boards as package
import stemcore.runtime.commands.main as cli
from stemcore.golden.spec.presets import PRESETS
from stemcore.hdl.boards.board import DEFAULT, Board, boards, get_board

NEW_BOARD = """
from stemcore.hdl.boards.board import Board

BOARD = Board(
    name="test_board",
    title="a board",
    device="LFE5U-25F, CABGA256, speed grade 6",
    family="ecp5",
    place_flags=("--25k", "--package", "CABGA256", "--speed", "6"),
    presets=("ecp5_lean",),
)
"""


@pytest.fixture
def beside_ours(monkeypatch, tmp_path):
    """A folder whose files count as files of the package of boards."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(f"{package.__name__}."):
            del sys.modules[name]


def test_one_file_is_a_board(beside_ours, capsys):
    assert "test_board" not in boards()
    (beside_ours / "test_board.py").write_text(NEW_BOARD)
    assert get_board("test_board").presets == ("ecp5_lean",)
    with pytest.raises(SystemExit):
        cli.main(["synth", "--help"])
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "test_board (LFE5U-25F, CABGA256, speed grade 6)" in shown


def test_file_has_the_name_of_its_board(beside_ours):
    (beside_ours / "other.py").write_text(NEW_BOARD)
    message = r"^board test_board: its file must be test_board\.py, got other\.py$"
    with pytest.raises(ValueError, match=message):
        boards()


@pytest.mark.parametrize("board", boards().values(), ids=lambda board: board.name)
def test_board_is_described_whole(board):
    assert set(board.presets) <= PRESETS.keys()
    assert board.presets and board.title and board.device
    assert bool(board.place_flags) == (board.family == "ecp5")


def test_default_is_a_board():
    assert get_board(DEFAULT).name == DEFAULT


def test_unknown_board_is_told_the_names():
    names = ", ".join(boards())
    with pytest.raises(ValueError, match=rf"^board: must be one of {names}; got 'x'$"):
        get_board("x")


def test_family_without_tools_is_refused():
    with pytest.raises(
        ValueError, match=r"^board b: family must be one of ecp5, xilinx, got 'ice40'$"
    ):
        Board("b", "a board", "a part", "ice40", (), ())
