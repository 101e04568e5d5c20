# SPDX-License-Identifier: Apache-2.0
"""Ports that a user names: which transport they mean."""

from .transport import Transport
from .uart_port import UartPort


def open_port(name: str) -> Transport:
    """``/dev/ttyUSB0`` or ``/dev/ttyUSB0@3000000``: a serial port, with its baud rate.

    Raises :class:`stemcore.runtime.host.transport.PortError`.
    """
    return UartPort(name)
