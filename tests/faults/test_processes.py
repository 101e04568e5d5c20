# SPDX-License-Identifier: Apache-2.0
"""Commands that are interrupted, killed, or run beside each other."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import stemcore
from stemcore.files import FORGOTTEN_S, UNFINISHED, alone_in_folder, write_whole
from stemcore.runtime.commands.main import main
from stemcore.runtime.host.verilog_bench import write_bench
from stemcore.runtime.report.run_folder import RunFolder
from stemcore.runtime.toolchain.process import run
from tests.support.hand_programs import conv_chain_program
from tests.support.real_commands import check_interrupt, starting


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path) as begin:
        yield begin


@pytest.fixture
def saved(tmp_path):
    """A compiled network in ``net``, and many images in ``images.npy``."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    images = np.random.default_rng(0).integers(-127, 128, (4000, 1, 8, 8)).astype(np.int8)
    stemcore.compile(module, calibration=images[:32], input="signed").save(tmp_path / "net")
    np.save(tmp_path / "images.npy", images)


# A command that takes long, and what it says when it is in the middle.
LONG = {
    "check": (("--model", "tiny_vgg"), "compare      "),
    "sparsify": (("--model", "tiny_vgg"), "model        "),
    "estimate": (("--model", "tiny_vgg"), "model        "),
    "verilog": (("--model", "digits_cnn"), "write        "),
    "train": (("--model", "tiny_vgg", "--epochs", "2"), None),
    "tables": (("--only", "VIII", "--images", "300"), None),
    "bench": (("--only", "golden"), "golden: "),
    "synth": (("--preset", "tiny"), None),
    "run": (("net", "--images", "images.npy", "--engine", "program"), "run          "),
}


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_ends_every_command(name, start, request):
    if name == "run":
        request.getfixturevalue("saved")
    words, said = LONG[name]
    command = start(name, *words)
    if said is None:  # nothing is said before the first part of the work is done
        time.sleep(4)
    else:
        command.wait_for(said)
        time.sleep(1)
    check_interrupt(command, whole_group=True)


# Whoever starts the tests in the background of a shell has SIGQUIT ignored, in its children too.
KILLED = """
import signal, sys
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
SLEEPS = "trap '' INT TERM HUP; (sleep 60 & sleep 60) & sleep 60"
OF_THE_TOOLCHAIN = f"""
from pathlib import Path
from stemcore.runtime.toolchain.process import run
print("ready", flush=True)
run(["sh", "-c", {SLEEPS!r}], cwd=Path("."))
"""
# In the place of Yosys, which is over too soon to be found at work.
OF_AMARANTH = """
from stemcore.hdl import export
class Slow:
    YOSYS_BINARY = sys.argv[1]
export.find_yosys = lambda requirement: Slow
print("ready", flush=True)
export._run_yosys("", "")
"""


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("starts", [OF_THE_TOOLCHAIN, OF_AMARANTH], ids=["toolchain", "yosys"])
def test_no_program_outlives_a_command_that_is_killed(starts, number, tmp_path):
    yosys = tmp_path / "yosys"
    yosys.write_text(f"#!/bin/sh\n{SLEEPS}\n")
    yosys.chmod(0o755)
    mark = f"STEMCORE_TEST_MARK={tmp_path}"
    name, _, value = mark.partition("=")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED + starts, yosys],
        stdout=subprocess.PIPE,
        env=os.environ | {name: value},
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        end = time.monotonic() + 10
        while len(marked(mark)) < 5 and time.monotonic() < end:
            time.sleep(0.02)
        assert len(marked(mark)) >= 5
        process.send_signal(number)
        process.wait(10)
    assert gone(mark)


def gone(mark):
    """Whether no process is marked any more, after a moment."""
    end = time.monotonic() + 2
    while marked(mark) and time.monotonic() < end:
        time.sleep(0.02)
    return not marked(mark)


def marked(mark):
    """Ids of processes with a variable in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_programs_that_a_program_leaves_end_with_it(tmp_path):
    mark = "STEMCORE_TEST_MARK"
    run(["sh", "-c", "sleep 60 > /dev/null 2>&1 &"], cwd=tmp_path, env={mark: str(tmp_path)})
    assert gone(f"{mark}={tmp_path}")


@pytest.mark.medium
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_change_nothing(closed, tmp_path):
    """Results must not get the number of the output that was closed, and with it what is said."""
    words = (
        f"{shlex.quote(sys.executable)} -m stemcore compare nothing here {closed}; echo status $?"
    )
    said = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout.splitlines()[-1:] == ["status 2"]
    assert "bug" not in said.stderr
    assert ("2>&-" in closed) != ("error: nothing: must be the report" in said.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_working_folder_that_is_gone_is_named(tmp_path, monkeypatch, capsys):
    gone_folder = tmp_path / "gone"
    gone_folder.mkdir()
    monkeypatch.chdir(gone_folder)
    gone_folder.rmdir()
    assert main(["info"]) == 2
    assert "error: working folder: must be there, got: No such file" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)


@pytest.mark.medium
def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sim", "--model", "digits_cnn", "--waves", "99,99", "--images", "0"]) == 2
    for path in list(tmp_path.rglob("compiled")):  # what the compiler made is of use later
        shutil.rmtree(path.parent)
    assert main(["sim", "--model", "none.py:build"]) == 2
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def fail(place=None):
    if place is not None:
        (place.folder / "compiled").mkdir()
    raise ValueError("odd")


def test_a_run_that_fails_leaves_what_other_commands_put_there(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=r"^odd$"), RunFolder(folder, "a") as place:
        fail(place)
    assert (folder / "compiled").is_dir()
    with pytest.raises(ValueError, match=r"^odd$"), RunFolder(tmp_path / "other", "a"):
        fail()
    assert not (tmp_path / "other").exists()


def test_many_runs_in_one_folder_take_turns(tmp_path):
    """Each makes its own results or fails; the folder is one run's at any time."""
    folder, seen = tmp_path / "run", []

    def go(number):
        for turn in range(4):
            try:
                with RunFolder(folder, f"run{number}", ("a", "report.json")) as place:
                    (place.aside / "a").write_text(str(number))
                    (place.aside / "report.json").write_text(str(number))
                    if turn % 2:
                        raise ValueError("odd")
                    place.publish()
                    seen.append(((folder / "a").read_text(), (folder / "report.json").read_text()))
            except ValueError:
                pass

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 8
    assert all(one == other for one, other in seen)
    assert not (folder / ".running").exists()


@pytest.fixture
def no_yosys(monkeypatch):
    for name in ("node_verilog", "chip_verilog"):
        monkeypatch.setattr(f"stemcore.runtime.host.verilog_bench.{name}", lambda *a, **k: "text")


@pytest.mark.medium
def test_verilog_of_processes_that_were_killed_is_removed(tmp_path, no_yosys):
    program, _ = conv_chain_program()
    images = np.zeros((1, 2, 4, 4), int)
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f".net-{ended.pid}", f".net-{ended.pid}-before"):
        (tmp_path / name).mkdir()
    alive = tmp_path / f".net-{os.getppid()}"
    other = tmp_path / ".net-mine"
    alive.mkdir()
    other.mkdir()
    write_bench(program, images, tmp_path / "net")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["net", alive.name, other.name]
    )


@pytest.mark.medium
def test_verilog_by_several_processes_at_once(tmp_path, no_yosys):
    program, _ = conv_chain_program()
    images, errors = np.zeros((1, 2, 4, 4), int), []
    # Processes in the place of threads: what lies aside is named after the process.
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _ in range(5):
                    write_bench(program, images, tmp_path / "net")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    errors = [os.waitpid(child, 0)[1] for child in children]
    assert errors == [0] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert (tmp_path / "net" / "README.txt").is_file()


def test_files_that_nobody_finished_are_removed_after_a_day(tmp_path):
    old, new = tmp_path / f"{UNFINISHED}1-old", tmp_path / f"{UNFINISHED}1-new"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - FORGOTTEN_S - 60,) * 2)
    write_whole(tmp_path / "x.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, "x.json"])


def test_a_folder_is_held_by_one_and_nothing_is_left(tmp_path):
    folder, inside, most = tmp_path / "here", [], []

    def go():
        for _ in range(10):
            with alone_in_folder(folder):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == [1] * 40
    assert list(folder.iterdir()) == []
