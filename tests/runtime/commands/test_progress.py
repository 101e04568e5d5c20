# SPDX-License-Identifier: Apache-2.0
"""What a command shows while it works: on a terminal, and in a log."""

import fcntl
import io
import logging
import os
import pty
import re
import select
import struct
import termios
import time

import pytest

from stemcore.runtime.commands import progress as module
from stemcore.runtime.commands.progress import Display


class Terminal:
    """A pseudo-terminal of 80 columns; ``text`` is all that was written to it."""

    def __init__(self):
        self._reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        self.stream = os.fdopen(writer, "w", buffering=1)
        self.text = ""

    def read(self):
        """All that was written so far; waits a little for the first of it."""
        wait = 0.05
        while select.select([self._reader], [], [], wait)[0]:
            self.text += os.read(self._reader, 1 << 16).decode()
            wait = 0.0
        return self.text

    def screen(self):
        """Lines that are left once carriage returns have had their way; blank ones dropped."""
        lines = []
        for line in self.read().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(re.sub(r"\x1b\[[A-Z]", "", shown).rstrip())
        return [line for line in lines if line]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.02)
    monkeypatch.setattr(module, "QUIET_S", 0.1)
    one = Terminal()
    yield one
    one.stream.close()
    os.close(one._reader)


def wait_for(terminal, what, seconds=10.0):
    end = time.monotonic() + seconds
    while what not in terminal.read():
        assert time.monotonic() < end, terminal.text


def test_stages_line_up_and_fold_below_their_text():
    out, err = io.StringIO(), io.StringIO()
    with Display(out, err) as display:
        display.say("model        digits_cnn on digits")
        display.say("estimate     " + "a figure, " * 12 + "the end")
    lines = out.getvalue().splitlines()
    assert lines[0] == "model        digits_cnn on digits"
    assert lines[1].startswith("estimate     a figure, ")
    assert len(lines) > 2
    assert all(re.match(r" {13}\w", line) for line in lines[2:])
    assert max(map(len, lines)) <= 80
    assert err.getvalue() == ""


@pytest.mark.medium
def test_a_log_has_whole_lines_alone(monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)
    monkeypatch.setattr(module, "LOG_S", 0.05)
    out, err = io.StringIO(), io.StringIO()
    with Display(out, err) as display:
        display.say("build        the node")
        time.sleep(0.3)
        display.say("simulate     3 cores")
        tell = display.count(2, 1000.0)
        tell(0, 100)
        time.sleep(0.1)
        tell(1, 600)
        tell(2, 1010)
        tell(2, 1020)
    assert "\r" not in out.getvalue() + err.getvalue()
    signs = err.getvalue().splitlines()
    assert re.fullmatch(r"build        still at it after \d+ s", signs[0])
    assert re.fullmatch(r"simulate     1 of 2 images, 600 cycles, \d+ s", signs[-1])
    done = out.getvalue().splitlines()[-1]
    assert re.fullmatch(r"simulate     2 images, 1,010 cycles, \d+\.\d s", done)


@pytest.mark.medium
def test_a_quiet_stage_shows_that_it_lives(terminal):
    with Display(terminal.stream, terminal.stream) as display:
        display.say("build        the node")
        wait_for(terminal, ".. 0 s")
        wait_for(terminal, ".. 1 s")
        display.say("load         memories")
    assert terminal.screen() == ["build        the node", "load         memories"]


@pytest.mark.medium
def test_a_bar_ends_with_its_stage(terminal):
    with Display(terminal.stream, terminal.stream) as display:
        display.say("simulate     16 cores")
        tell = display.count(2, 1000.0)
        tell(0, 250)
        time.sleep(0.05)
        tell(0, 500)
        wait_for(terminal, "50%")
        assert re.search(r"simulate      50% \|\S+ *\| 0 of 2 images, 500 cycles ", terminal.text)
        tell(2, 1040)
        shown = len(terminal.read())
        # Later work, and calls that come late, show nothing of the bar.
        tell(2, 2000)
        time.sleep(0.3)
        assert "%" not in terminal.read()[shown:]
        display.say("report       accuracies")
    screen = terminal.screen()
    assert screen[0] == "simulate     16 cores"
    assert re.fullmatch(r"simulate     2 images, 1,040 cycles, \d+\.\d s", screen[1])
    assert screen[2:] == ["report       accuracies"]
    assert max(map(len, screen)) <= 80


def test_more_cycles_than_estimated_fill_the_bar_and_no_more(terminal):
    with Display(terminal.stream, terminal.stream) as display:
        display.say("simulate     16 cores")
        tell = display.count(2, 1000.0)
        tell(0, 10)
        time.sleep(0.05)
        tell(1, 5000)
        wait_for(terminal, "100%")
        assert "500%" not in terminal.text


def test_builds_tell_of_themselves_through_the_log():
    out = io.StringIO()
    logger = logging.getLogger("stemcore.runtime.toolchain.verilator")
    level = logging.getLogger("stemcore").level
    with Display(out, io.StringIO()):
        logger.info("stem_node: C++ to machine code")
        logger.debug("not for everybody")
        logger.info("memories of 3 cores", extra={"stage": "load"})
    logger.info("after the end")
    assert out.getvalue().splitlines() == [
        "build        stem_node: C++ to machine code",
        "load         memories of 3 cores",
    ]
    assert logging.getLogger("stemcore").level == level


@pytest.mark.medium
def test_a_failed_stage_leaves_no_living_line(terminal):
    def fail():
        with Display(terminal.stream, terminal.stream) as display:
            display.say("build        the node")
            wait_for(terminal, ".. 0 s")
            raise ValueError("gone")

    with pytest.raises(ValueError, match=r"^gone$"):
        fail()
    assert terminal.screen() == ["build        the node"]
