# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: one run at a time, all of its results or none, nothing stale."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from stemcore.runtime.report.run_folder import RunFolder

HOLD = """
import sys, time
from pathlib import Path
from stemcore.runtime.report.run_folder import RunFolder
with RunFolder(Path(sys.argv[1]), "other") as run:
    (run.aside / "waves-0-1.fst").write_text("half")
    print("held", flush=True)
    time.sleep(600)
"""


def leave(folder, name, files, say=lambda line: None):
    """A whole run that leaves these files, contents by name."""
    with RunFolder(folder, name, say=say) as run:
        for file, text in files.items():
            path = run.aside / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run.publish()


def fail(folder, kind):
    """A run called `a` that ends in the middle of its results."""
    with RunFolder(folder, "a") as run:
        (run.aside / "report.html").write_text("half")
        raise kind


def files_of(folder):
    """Contents of everything below ``folder`` that a user sees, by path."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``tmp_path / "run"`` in the middle of its run."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_results_are_there_when_they_are_all_there(tmp_path):
    folder = tmp_path / "deep" / "run"
    with RunFolder(folder, "a") as run:
        (run.aside / "report.json").write_text("1")
        (run.aside / "program").mkdir()
        (run.aside / "program" / "memories.npz").write_text("2")
        assert files_of(folder / "program") == {}
        assert not (folder / "report.json").exists()
        run.publish()
    assert files_of(folder) == {"report.json": "1", "program/memories.npz": "2"}
    assert not run.aside.exists()


def test_a_run_of_the_same_name_takes_the_place_of_the_last(tmp_path):
    leave(tmp_path, "a", {"report.json": "1", "waves-0-1.fst": "1", "detections/000.png": "1"})
    leave(tmp_path, "a", {"report.json": "2", "program/program.json": "2"})
    assert files_of(tmp_path) == {"report.json": "2", "program/program.json": "2"}


def test_results_of_another_run_are_kept_under_its_name(tmp_path):
    leave(tmp_path, "a", {"report.json": "1", "detections/000.png": "1"})
    leave(tmp_path, "b", {"report.json": "2"})
    kept = {"earlier/a/report.json": "1", "earlier/a/detections/000.png": "1"}
    assert files_of(tmp_path) == {"report.json": "2", **kept}
    leave(tmp_path, "a", {"report.json": "3"})
    assert files_of(tmp_path) == {"report.json": "3", "earlier/b/report.json": "2"}


def test_results_that_no_name_came_with_are_kept_too(tmp_path):
    (tmp_path / "report.json").write_text("old")
    leave(tmp_path, "a", {"report.json": "1"})
    assert files_of(tmp_path) == {"report.json": "1", "earlier/unnamed/report.json": "old"}


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_nothing_and_nothing_older_in_its_place(tmp_path, kind):
    leave(tmp_path, "a", {"report.json": "1", "report.html": "1"})
    with pytest.raises(kind):
        fail(tmp_path, kind)
    kept = {"earlier/a/report.json": "1", "earlier/a/report.html": "1"}
    assert files_of(tmp_path) == kept
    assert not (tmp_path / ".running").exists()
    # What was good stays through any number of failures, and goes when there is something new.
    with pytest.raises(kind):
        fail(tmp_path, kind)
    assert files_of(tmp_path) == kept
    leave(tmp_path, "a", {"report.json": "2"})
    assert files_of(tmp_path) == {"report.json": "2"}


def test_incomplete_results_go(tmp_path):
    """As a process leaves them that is killed while it moves its results."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "program.json").write_text("half")
    (tmp_path / "waves-0-1.fst").write_text("half")
    leave(tmp_path, "a", {"report.json": "1"})
    assert files_of(tmp_path) == {"report.json": "1"}


def test_files_of_others_stay(tmp_path):
    (tmp_path / "sparsify").mkdir()
    (tmp_path / "sparsify" / "pareto.json").write_text("kept")
    (tmp_path / "notes.txt").write_text("kept")
    leave(tmp_path, "a", {"report.json": "1"})
    leave(tmp_path, "b", {"report.json": "2"})
    assert files_of(tmp_path) == {
        "report.json": "2",
        "earlier/a/report.json": "1",
        "notes.txt": "kept",
        "sparsify/pareto.json": "kept",
    }


def test_a_result_that_nobody_would_remove_later_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"results must match quantized\.npz, .*, got notes\.txt"):
        leave(tmp_path, "a", {"notes.txt": "1", "report.json": "1"})


def test_two_runs_in_one_folder_wait_for_each_other(tmp_path):
    order, said = [], []
    first = RunFolder(tmp_path, "a")
    with first:

        def second():
            leave(tmp_path, "b", {"report.json": "2"}, said.append)
            order.append("second")

        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        (first.aside / "report.json").write_text("1")
        first.publish()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert files_of(tmp_path) == {"report.json": "2", "earlier/a/report.json": "1"}
    assert said == [
        f"wait         process {os.getpid()} runs in {tmp_path}; this run begins when that one ends"
    ]


def test_waiting_run_names_the_process_and_begins_when_that_is_killed(tmp_path, holder):
    folder, said = tmp_path / "run", []

    def say(line):
        said.append(line)
        holder.send_signal(signal.SIGKILL)

    leave(folder, "a", {"report.json": "1"}, say)
    assert said == [
        f"wait         process {holder.pid} runs in {folder}; this run begins when that one ends"
    ]
    # The half-written waves of the killed run are gone, and its lock holds nobody.
    assert files_of(folder) == {"report.json": "1"}
    assert not (folder / ".running").exists()


def test_a_folder_that_goes_while_a_run_waits_is_made_again(tmp_path, holder):
    folder = tmp_path / "run"

    def say(line):
        folder.rename(tmp_path / "gone")
        holder.send_signal(signal.SIGKILL)

    leave(folder, "a", {"report.json": "1"}, say)
    assert files_of(folder) == {"report.json": "1"}
