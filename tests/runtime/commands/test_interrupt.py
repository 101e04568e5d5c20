# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C on real processes, in the middle of whatever takes long."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

MARK = "STEMCORE_TEST_MARK"
SECONDS = 2.0  # from the signal to the end
# A busy machine may take a second to schedule what it is asked; the command itself has two.
ALLOWANCE = 1.0


class Command:
    """``stemcore WORDS`` in a process group of its own, as a terminal would start it."""

    def __init__(self, words, folder, **variables):
        self.mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stemcore", *words],
            cwd=folder,
            env={**os.environ, MARK: self.mark, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, what, seconds=240):
        """Until a line contains ``what``."""
        end = time.monotonic() + seconds
        while not any(what in line for line in self.lines):
            assert self._process.poll() is None, self.lines
            assert time.monotonic() < end, self.lines
            time.sleep(0.02)

    def interrupt(self, number, *, whole_group):
        """Sends a signal; returns the exit status, and the seconds until it was there."""
        sent = time.monotonic()
        send = os.killpg if whole_group else os.kill
        send(self._process.pid, number)
        status = self._process.wait(60)
        took = time.monotonic() - sent
        self._reader.join(10)
        return status, took

    def left_over(self):
        """Processes that carry the command's mark in their environment, after a moment."""
        time.sleep(0.3)
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"{MARK}={self.mark}".encode() in environment and state != "Z":
                found.append(words)
        return found

    def kill(self):
        """Ends what is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


@pytest.fixture
def start(tmp_path):
    commands = []

    def begin(*words, **variables):
        commands.append(Command(words, tmp_path, **variables))
        return commands[-1]

    yield begin
    for command in commands:
        command.kill()


def check(command, number=signal.SIGINT, *, whole_group):
    before = len(command.lines)
    status, took = command.interrupt(number, whole_group=whole_group)
    said = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert status == 128 + number
    assert took < SECONDS + ALLOWANCE
    assert command.lines[-1] == said
    # What was on its way to the screen may still come, but no second line of the end.
    after = [line for line in command.lines[before:] if line.strip()]
    assert sum(said in line for line in after) == 1
    assert not any("Traceback" in line or "Error" in line for line in command.lines)
    assert command.left_over() == []


WHO = pytest.mark.parametrize("whole_group", [False, True], ids=["process", "terminal"])


@pytest.mark.slow
@WHO
def test_interrupt_while_libraries_load(start, whole_group):
    command = start("sim", "--model", "digits_cnn", "--sim", "golden")
    command.wait_for("load         ")
    check(command, whole_group=whole_group)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_in_golden(start, number):
    command = start("sim", "--model", "tiny_vgg", "--sim", "golden", "--images", "300")
    command.wait_for("run          ")
    time.sleep(0.5)
    check(command, number, whole_group=True)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("stage", "whole_group"),
    [
        ("Amaranth to Verilog", False),
        ("Amaranth to Verilog", True),
        ("Verilog to C++", False),
        ("C++ to machine code", False),
    ],
)
def test_interrupt_while_the_node_is_built(start, tmp_path, stage, whole_group):
    command = start("sim", "--model", "digits_cnn", STEMCORE_CACHE=str(tmp_path / "cache"))
    command.wait_for(stage)
    time.sleep(1.0)
    check(command, whole_group=whole_group)


@pytest.mark.slow
@pytest.mark.sim
def test_interrupt_while_the_gateware_runs(start):
    command = start("sim", "--model", "tiny_vgg", "--images", "12")
    command.wait_for("memories of 16 cores")
    time.sleep(1.5)
    check(command, whole_group=False)
    assert not any(line.startswith("report") for line in command.lines)
