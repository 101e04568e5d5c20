# SPDX-License-Identifier: Apache-2.0
"""A chip in memory: files that are mapped, and those that cannot be."""

import re
import struct

import pytest

from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.host_window import WINDOW_PAGE, WINDOW_REGISTERS
from stemcore.runtime.host.ports import open_port
from stemcore.runtime.host.transport import PortError


def word(path, offset):
    return struct.unpack_from("<I", path.read_bytes(), offset)[0]


@pytest.fixture
def device(tmp_path):
    """Two pages of memory, as a device file has them."""
    path = tmp_path / "uio0"
    path.write_bytes(struct.pack("<I", IDENTITY) + bytes(2 * WINDOW_PAGE - 4))
    return path


def test_registers_are_words_of_the_file(device):
    offset = HOST_REGISTERS["WATCHDOG"].offset
    with open_port(f"axi:{device}") as port:
        assert port.read(0) == IDENTITY
        port.write(offset, 14)
        port.restart()
    assert word(device, offset) == 14
    assert word(device, WINDOW_PAGE + WINDOW_REGISTERS["CLEAR"].offset) == 1


def test_flits_wait_for_room_and_are_taken_when_they_are_there(device):
    at = {name: WINDOW_PAGE + register.offset for name, register in WINDOW_REGISTERS.items()}
    with open_port(f"axi:{device}") as port:
        flit = 0x0123_4567_89AB_CDEF
        port.send([flit])
        assert port.receive(0) == [] and port.n_waiting == 1
        port.write(at["LEVELS"], 64)
        assert port.receive(0) == [] and port.n_waiting == 0
        assert (word(device, at["FLIT_LOW"]), word(device, at["FLIT_HIGH"])) == (
            0x89AB_CDEF,
            0x0123_4567,
        )
        assert word(device, at["SEND"]) == 1
        port.write(at["LEVELS"], 64 | 1 << 16)
        port.write(at["HEAD_LOW"], 5)
        port.write(at["HEAD_HIGH"], 6)
        assert port.receive(1) == [5 | 6 << 32]
        assert word(device, at["TAKE"]) == 1


def test_a_device_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "uio9"
    with pytest.raises(PortError, match=rf"^axi:{re.escape(str(path))}: must be a device of .* no"):
        open_port(f"axi:{path}")


def test_a_device_that_is_too_small_is_refused(tmp_path):
    path = tmp_path / "uio1"
    path.write_bytes(bytes(WINDOW_PAGE))
    with pytest.raises(PortError, match=r"has 8192 bytes of registers, got: "):
        open_port(f"axi:{path}")


def test_a_socket_that_nobody_serves_is_refused(tmp_path):
    import socket

    path = tmp_path / "chip"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
    with pytest.raises(PortError, match="can be opened"):
        open_port(f"axi:{path}")
