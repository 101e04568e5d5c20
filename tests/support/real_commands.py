# SPDX-License-Identifier: Apache-2.0
"""Commands as real processes, that are ended in the middle of whatever takes long."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

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


@contextlib.contextmanager
def starting(folder):
    """``start(*words, **variables)``: a command in ``folder``; none outlives the block."""
    commands = []

    def begin(*words, **variables):
        commands.append(Command(words, folder, **variables))
        return commands[-1]

    try:
        yield begin
    finally:
        for command in commands:
            command.kill()


def check_interrupt(command, number=signal.SIGINT, *, whole_group):
    """The command ends in time with its status and one line, and nothing goes on without it."""
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
