# SPDX-License-Identifier: Apache-2.0
"""A chip in this machine's memory, by reads and writes of 32 bits alone."""

import ctypes
import mmap
import os
import socket
import stat
import struct
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from stemcore.golden.spec.host_registers import REGISTER_BYTES
from stemcore.golden.spec.host_window import WINDOW_PAGE, WINDOW_REGISTERS

from .transport import PortError, Transport

READ, WRITE = 0, 1
ANSWER_S = 30.0  # in which a device behind a socket must answer
REST_S = 0.0005  # between two looks where nothing moves
Access = tuple[int, int, int]  # READ or WRITE, byte address, data
_REQUEST, _ANSWER = struct.Struct("<III"), struct.Struct("<II")
_MASK = (1 << 32) - 1


class _Bus(ABC):
    """Accesses, in order; each gives (response, data)."""

    @abstractmethod
    def access(self, accesses: Sequence[Access]) -> list[tuple[int, int]]: ...

    @abstractmethod
    def close(self) -> None: ...


class _Mapped(_Bus):
    """A device file such as /dev/uio0, both pages in its first map. A bus error ends the program,
    as it does with any mapped device: nothing is asked for that can be refused."""

    def __init__(self, path: Path):
        file = os.open(path, os.O_RDWR | os.O_SYNC)
        try:
            self._memory = mmap.mmap(file, 2 * WINDOW_PAGE)
        finally:
            os.close(file)
        words = ctypes.c_uint32 * (2 * WINDOW_PAGE // REGISTER_BYTES)
        # Loads and stores of 32 bits: what bytes would do to a register is another thing.
        self._words: ctypes.Array[ctypes.c_uint32] | None = words.from_buffer(self._memory)

    def access(self, accesses: Sequence[Access]) -> list[tuple[int, int]]:
        assert self._words is not None
        answers = []
        for kind, address, data in accesses:
            if kind == WRITE:
                self._words[address // REGISTER_BYTES] = data
                answers.append((0, 0))
            else:
                answers.append((0, int(self._words[address // REGISTER_BYTES])))
        return answers

    def close(self) -> None:
        self._words = None
        self._memory.close()


class _Socket(_Bus):
    """A device in simulation. A request: kind, address, data; an answer: response, data; words of
    32 bits, lowest byte first."""

    def __init__(self, path: Path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def access(self, accesses: Sequence[Access]) -> list[tuple[int, int]]:
        self._socket.sendall(b"".join(_REQUEST.pack(*access) for access in accesses))
        wanted, text = _ANSWER.size * len(accesses), b""
        while len(text) < wanted:
            more = self._socket.recv(wanted - len(text))
            if not more:
                raise ConnectionError("the other end is closed")
            text += more
        return list(_ANSWER.iter_unpack(text))

    def close(self) -> None:
        self._socket.close()


def _at(name: str) -> int:
    return WINDOW_PAGE + WINDOW_REGISTERS[name].offset


class MemoryPort(Transport):
    """``PATH`` of a device of two pages: host registers, and the window of flits above them.

    Raises :class:`PortError` for a path that cannot be opened.
    """

    reads_at_once = 32  # their answers fit the window

    def __init__(self, path: str):
        self.name = f"axi:{path}"
        self._queue: deque[int] = deque()
        file = Path(path)
        try:
            is_socket = stat.S_ISSOCK(file.stat().st_mode)
            self._bus: _Bus = _Socket(file) if is_socket else _Mapped(file)
        except FileNotFoundError:
            raise PortError(
                f"{self.name}: must be a device of the chip's registers, there is no such file; "
                "load the board's design, or name another one (often axi:/dev/uio0)"
            ) from None
        except (OSError, ValueError) as error:
            raise PortError(
                f"{self.name}: must be a device that can be opened and has {2 * WINDOW_PAGE} bytes "
                f"of registers, got: {getattr(error, 'strerror', None) or error}"
            ) from None

    def close(self) -> None:
        self._bus.close()

    def restart(self) -> None:
        self._queue.clear()
        self._access([(WRITE, _at("CLEAR"), 1)])

    def read(self, address: int) -> int:
        return self._access([(READ, address, 0)])[0]

    def write(self, address: int, value: int) -> None:
        self._access([(WRITE, address, value)])

    def send(self, flits: Sequence[int]) -> None:
        self._queue.extend(flits)

    @property
    def n_waiting(self) -> int:
        return len(self._queue)

    def receive(self, wait: float) -> list[int]:
        end = time.monotonic() + wait
        while True:
            flits, moved = self._move()
            if flits or moved or time.monotonic() > end:
                return flits
            time.sleep(REST_S)

    def _move(self) -> tuple[list[int], bool]:
        """Sends what there is room for, takes what waits; whether anything was sent."""
        levels = WINDOW_REGISTERS["LEVELS"].layout.unpack(self.read(_at("LEVELS")))
        n_send = min(levels["room"], len(self._queue))
        accesses: list[Access] = []
        for _ in range(levels["waiting"]):
            accesses += [
                (READ, _at("HEAD_LOW"), 0),
                (READ, _at("HEAD_HIGH"), 0),
                (WRITE, _at("TAKE"), 1),
            ]
        for _ in range(n_send):
            flit = self._queue.popleft()
            accesses += [
                (WRITE, _at("FLIT_LOW"), flit & _MASK),
                (WRITE, _at("FLIT_HIGH"), flit >> 32),
                (WRITE, _at("SEND"), 1),
            ]
        words = self._access(accesses)
        halves = words[: 3 * levels["waiting"]]
        flits = [low | high << 32 for low, high in zip(halves[0::3], halves[1::3], strict=True)]
        return flits, n_send > 0

    def _access(self, accesses: Sequence[Access]) -> list[int]:
        try:
            answers = self._bus.access(accesses)
        except OSError as error:
            raise PortError(
                f"{self.name}: the device must answer, got: {error.strerror or error}"
            ) from None
        for (kind, address, _), (response, _) in zip(accesses, answers, strict=True):
            if response:
                raise PortError(
                    f"{self.name}: {'WRITE' if kind == WRITE else 'READ'} of the register at "
                    f"{address:#x} must be permitted, got response {response}; the host side is of "
                    "another release"
                )
        return [data for _, data in answers]
