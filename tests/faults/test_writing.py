# SPDX-License-Identifier: Apache-2.0
"""Results are written whole or not at all, and an error names the file that could not be."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from stemcore.compiler.records import save_record
from stemcore.files import UNFINISHED, check_room, write_whole, written_whole
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.models.checkpoint import save_checkpoint
from stemcore.models.resume import save_state
from stemcore.models.trainer import TrainingState
from stemcore.runtime.commands.endings import explain
from stemcore.runtime.commands.main import main
from stemcore.runtime.host.verilog_bench import write_bench
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.report.run_folder import RunFolder
from tests.support.hand_programs import conv_chain_program

ROOM = 20_000  # bytes: less than any result below takes
TEXT = "0" * 2 * ROOM
BIG = np.random.default_rng(0).integers(0, 256, 4 * ROOM, np.uint8)


@pytest.fixture(autouse=True)
def no_yosys(monkeypatch):
    """The text of a node in place of its conversion, which takes seconds."""
    for name in ("node_verilog", "chip_verilog"):
        monkeypatch.setattr(f"stemcore.runtime.host.verilog_bench.{name}", lambda *a, **k: TEXT)


def module():
    torch.manual_seed(0)
    return torch.nn.Linear(100, 200)


def save_program_of_many_words(folder):
    program, _ = conv_chain_program()
    big = program.__class__(**{**vars(program), "name": BIG.tobytes().hex()})
    save_program(big, folder)


def write_run(folder):
    with RunFolder(folder, "run", ("report.json",)) as run:
        (run.aside / "report.json").write_bytes(BIG.tobytes())
        run.publish()


# What writes a result, and the file (or the folder of all files) that an error must name.
WRITERS = {
    "whole": (lambda at: write_whole(at / "x.html", BIG.tobytes()), "x.html"),
    "json": (lambda at: write_json(at / "x.json", {"data": BIG.tolist()}), "x.json"),
    "record": (lambda at: save_record(at / "x.npz", "images", BIG), "x.npz"),
    "program": (save_program_of_many_words, "memories.npz"),
    "weights": (
        lambda at: save_checkpoint(at / "w.safetensors", module().state_dict(), {"model": "m"}),
        "w.safetensors",
    ),
    "state": (
        lambda at: save_state(at, TrainingState(module(), {}), {"model": "m"}),
        "state.safetensors",
    ),
    "run": (lambda at: write_run(at / "run"), "run"),
    "verilog": (
        lambda at: write_bench(conv_chain_program()[0], np.zeros((1, 2, 4, 4), int), at / "v"),
        "v",
    ),
}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith((".lock", ".name"))
    }


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_nothing_and_is_named(kind, tmp_path, full_disk):
    write, name = WRITERS[kind]
    with full_disk(ROOM), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path)
    assert explain(caught.value) == (
        f"{tmp_path / name}: File too large; make room there, or work in another folder"
    )
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kind", sorted(set(WRITERS) - {"run"}))
def test_a_full_disk_leaves_what_was_there(kind, tmp_path, full_disk):
    write, _ = WRITERS[kind]
    write(tmp_path)
    before = contents(tmp_path)
    with full_disk(ROOM), pytest.raises(OSError, match="File too large"):
        write(tmp_path)
    assert contents(tmp_path) == before


def test_a_program_that_cannot_be_replaced_goes_on_being_whole(tmp_path, full_disk):
    program, _ = conv_chain_program()
    save_program(program, tmp_path)
    with full_disk(ROOM), pytest.raises(OSError, match="File too large"):
        save_program_of_many_words(tmp_path)
    assert load_program(tmp_path).name == program.name


def test_an_interrupt_leaves_the_file_before(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, "before")

    def interrupted():
        with written_whole(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(tmp_path) == {"report.json": b"before"}


@pytest.mark.medium
def test_many_writers_of_one_file_leave_that_of_one(tmp_path):
    path = tmp_path / "report.json"
    texts = [f"{i}" * 100_000 for i in range(8)]
    threads = [
        threading.Thread(target=lambda t=text: [write_whole(path, t) for _ in range(10)])
        for text in texts
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_text() in texts
    assert path.read_text() in texts
    assert list(contents(tmp_path)) == ["report.json"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("folder", "Is a directory; check the path"),
        ("file/x.json", "File exists; check the path"),
        ("n" * 300, "File name too long; check the path"),
        ("loop/x.json", "File exists; check the path"),
    ],
)
def test_places_that_take_no_file_are_named(place, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / place, "x")
    message = explain(caught.value)
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/\S+: {reason}", message), message
    assert not list(tmp_path.glob(f"**/{UNFINISHED}*"))


def test_a_device_is_written_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    got = []
    reader.start()
    write_whole(pipe, "page")
    reader.join(10)
    assert got == ["page"]
    assert pipe.is_fifo()


def test_room_is_asked_for_without_a_trace(tmp_path, full_disk):
    path = tmp_path / "w.safetensors"
    path.write_text("before")
    with full_disk(ROOM):
        check_room(path, ROOM)
        with pytest.raises(OSError, match="File too large"):
            check_room(path, ROOM + 1)
    assert contents(tmp_path) == {path.name: b"before"}


def test_links_that_lead_to_themselves_are_the_users(tmp_path, capsys):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "other").mkdir()
    assert main(["compare", str(tmp_path / "loop"), str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(tmp_path / "loop") in error


@pytest.mark.slow
def test_output_that_cannot_be_written_is_said():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stemcore", "info"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: output: No space left on device; make room there, or work in another folder\n"
    )
