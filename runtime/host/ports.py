# SPDX-License-Identifier: Apache-2.0
"""Ports that a user names: which transport they mean."""

from .memory_port import MemoryPort
from .transport import Transport
from .uart_port import UartPort

AXI = "axi:"


def open_port(name: str) -> Transport:
    """``/dev/ttyUSB0`` or ``/dev/ttyUSB0@3000000``: a serial port, with its baud rate;
    ``axi:/dev/uio0``: registers in memory.

    Raises :class:`stemcore.runtime.host.transport.PortError`.
    """
    return MemoryPort(name.removeprefix(AXI)) if name.startswith(AXI) else UartPort(name)
