# SPDX-License-Identifier: Apache-2.0
"""A serial port of this machine as the way to a board."""

import fcntl
import os
import select
import termios
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from stemcore.golden.spec.uart_frames import ANSWER_OKAY, BAUD, FrameKind

from .transport import PortError, Transport
from .uart_link import HostLink, SessionLost

FRAME_BITS = 5600  # on the line, if every byte is escaped
LATENCY_S = 0.1  # of adapters and of the system, both ways
ANSWER_S = 5.0  # in which a board must say something
_CHUNK = 1 << 16
_SPEEDS = {
    int(name[1:]): value
    for name, value in vars(termios).items()
    if name[:2] > "B0" and name[0] == "B" and name[1:].isdigit()
}


class UartPort(Transport):
    """``PATH``, or ``PATH@BAUD``: a board behind a serial line.

    Raises :class:`PortError` for a path that is no serial port, or cannot be opened.
    """

    # The answers to as many fit the queue behind the mesh (stemcore.hdl.host.uart_queues.DEPTH).
    reads_at_once = 128

    def __init__(self, name: str, *, answer_s: float = ANSWER_S):
        self.name = name
        path, baud = _parse(name)
        self._answer_s = answer_s
        self._file = _open(name, path, baud)
        self._link = HostLink(retry=LATENCY_S + 4 * FRAME_BITS / baud)
        self._unsent = b""

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def restart(self) -> None:
        self._link.connect(time.monotonic())
        self._until(
            lambda: self._link.is_connected,
            "a board with the host side of this project must answer there, at this baud rate",
        )

    def read(self, address: int) -> int:
        return self._access(FrameKind.READ, address)

    def write(self, address: int, value: int) -> None:
        self._access(FrameKind.WRITE, address, value)

    def send(self, flits: Sequence[int]) -> None:
        self._link.send(flits)

    @property
    def n_waiting(self) -> int:
        return self._link.n_waiting

    def receive(self, wait: float) -> list[int]:
        received = self._link.received
        if not received:
            self._pump(wait)
        self._check_alive()
        flits = list(received)
        received.clear()
        return flits

    def notes(self) -> dict[str, int]:
        return {f"line_{name}": count for name, count in asdict(self._link.counts).items()}

    def _access(self, kind: FrameKind, address: int, data: int = 0) -> int:
        self._link.access(kind, address, data)
        self._until(lambda: self._link.answer is not None, "registers must answer")
        assert self._link.answer is not None
        response, value = self._link.answer
        if response != ANSWER_OKAY:
            raise PortError(
                f"{self.name}: {kind.name} of the host register at {address:#x} must be permitted, "
                f"got response {response}; the board's host side is of another release"
            )
        return value

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self._answer_s
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise PortError(f"{self.name}: {what}; nothing came in {self._answer_s:g} s")
            self._pump(min(left, self._link.retry))

    def _check_alive(self) -> None:
        silent = time.monotonic() - self._link.last_frame
        if silent > self._answer_s:
            raise PortError(
                f"{self.name}: the board must answer, and was silent for {silent:.1f} s; look at "
                "its cable and power, and run again"
            )

    def _pump(self, wait: float) -> None:
        """Moves bytes both ways; returns when something has moved, or after ``wait`` seconds."""
        link = self._link
        try:
            if len(self._unsent) < _CHUNK:
                self._unsent += link.outgoing(time.monotonic())
            writes = [self._file] if self._unsent else []
            readable, writable, _ = select.select(
                [self._file], writes, [], max(0.0, min(wait, link.retry))
            )
            if writable:
                self._unsent = self._unsent[os.write(self._file, self._unsent) :]
            if readable:
                text = os.read(self._file, _CHUNK)
                if not text:
                    raise OSError("the other end is closed")
                link.receive(text, time.monotonic())
        except BlockingIOError:
            return
        except OSError as error:
            raise PortError(
                f"{self.name}: must stay open, got: {error.strerror or error}; look at the board's "
                "cable and power, and run again"
            ) from None
        except SessionLost:
            raise PortError(
                f"{self.name}: the board must keep its session; it was reset, or another program "
                "uses the port. End the other one, and run again"
            ) from None


def _parse(name: str) -> tuple[Path, int]:
    path, at, baud = name.rpartition("@")
    if not at:
        return Path(name), BAUD
    if not baud.isdecimal() or int(baud) not in _SPEEDS:
        known = ", ".join(map(str, sorted(speed for speed in _SPEEDS if speed >= 9600)))
        raise PortError(f"{name}: the baud rate after @ must be one of {known}, got {baud!r}")
    return Path(path), int(baud)


def _open(name: str, path: Path, baud: int) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError:
        found = ", ".join(map(str, sorted(Path("/dev").glob("tty[AU][CS][MB]*"))))
        raise PortError(
            f"{name}: must be a serial port, there is no such file; plug the board in, or name one "
            f"of {found or 'those that the system has (none now)'}"
        ) from None
    except OSError as error:
        raise PortError(
            f"{name}: must be a serial port that may be opened, got: {error.strerror}; be in the "
            "group that owns it (often dialout), and end other programs that use it"
        ) from None
    try:
        # Two drivers would take each other's bytes. The lock goes with the file, however this ends.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tty.setraw(file)
        settings = termios.tcgetattr(file)
        settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        settings[4] = settings[5] = _SPEEDS[baud]
        termios.tcsetattr(file, termios.TCSANOW, settings)
        termios.tcflush(file, termios.TCIOFLUSH)
    except OSError:
        os.close(file)
        raise PortError(
            f"{name}: must be free, and another program drives the board there; end that one, or "
            "name another port"
        ) from None
    except termios.error as error:
        os.close(file)
        raise PortError(f"{name}: must be a serial port, got: {error.args[-1]}") from None
    return file
