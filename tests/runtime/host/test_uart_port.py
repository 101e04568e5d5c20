# SPDX-License-Identifier: Apache-2.0
"""Ports that are missing, closed, silent or somebody else's: one clear error each."""

import os
import re

import pytest

from stemcore.golden.spec.uart_frames import BAUD, Frame, FrameKind
from stemcore.runtime.host.ports import open_port
from stemcore.runtime.host.transport import PortError
from stemcore.runtime.host.uart_port import UartPort
from tests.support.answering_board import answer_as_chip, answering, terminal


def test_a_port_connects_and_registers_answer():
    with answering(answer_as_chip) as name, UartPort(name) as port:
        port.restart()
        assert port.read(0) == 5
        assert port.notes()["line_silences"] == 0
        with pytest.raises(PortError, match=r"WRITE of the host register at 0x8 .* response 2"):
            port.write(8, 1)


def test_a_port_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "ttyUSB7"
    with pytest.raises(PortError, match=rf"^{re.escape(str(path))}: must be a serial port, there"):
        open_port(str(path))


def test_a_file_is_no_serial_port(tmp_path):
    path = tmp_path / "image.bin"
    path.write_bytes(b"")
    with pytest.raises(PortError, match=rf"^{re.escape(str(path))}: must be a serial port, got: "):
        open_port(str(path))


def test_a_folder_cannot_be_opened(tmp_path):
    with pytest.raises(PortError, match="may be opened, got: Is a directory"):
        open_port(str(tmp_path))


@pytest.mark.parametrize("baud", ["fast", "123457", "-1", ""])
def test_a_baud_rate_that_no_port_has_is_refused(baud):
    with pytest.raises(
        PortError, match=rf"^/dev/x@{baud}: the baud rate .* {BAUD}, .*got '{baud}'"
    ):
        open_port(f"/dev/x@{baud}")


@pytest.mark.medium
def test_silence_is_an_error():
    with terminal() as (_, name), UartPort(f"{name}@115200", answer_s=0.3) as port:
        with pytest.raises(PortError, match=r"at this baud rate; nothing came in 0.3 s"):
            port.restart()


@pytest.mark.medium
def test_garbage_is_no_answer():
    with terminal() as (ours, name), UartPort(name, answer_s=0.3) as port:
        os.write(ours, b"Welcome to your router\r\nlogin: ~~~}}~")
        with pytest.raises(PortError, match="host side of this project must answer there"):
            port.restart()


def take_for_ever(port):
    while True:
        port.receive(0.05)


@pytest.mark.medium
def test_a_board_that_falls_silent_is_noticed():
    seen = []

    def once(frame):
        seen.append(frame)
        return answer_as_chip(frame) if len(seen) < 4 else []

    with answering(once) as name, UartPort(name, answer_s=0.4) as port:
        port.restart()
        port.send([1, 2, 3])
        with pytest.raises(PortError, match=r"must answer, and was silent for \d.\d s"):
            take_for_ever(port)


def test_a_board_that_was_reset_is_noticed():
    def forgetful(frame):
        answers = answer_as_chip(frame)
        if frame.kind == FrameKind.READ:
            answers = [Frame(kind=FrameKind.FLITS, session=0)]
        return answers

    with answering(forgetful) as name, UartPort(name) as port:
        port.restart()
        with pytest.raises(PortError, match="must keep its session; it was reset"):
            port.read(0)


def test_a_second_driver_is_refused_and_changes_nothing():
    with answering(answer_as_chip) as name, UartPort(name) as port:
        port.restart()
        with pytest.raises(PortError, match=rf"^{name}: must be free, and another program drives"):
            open_port(name)
        assert port.read(0) == 5


def test_the_port_is_given_back():
    with answering(answer_as_chip) as name:
        for _ in range(2):
            with UartPort(name) as port:
                port.restart()
