# SPDX-License-Identifier: Apache-2.0
"""Registers through which a host without streams sends and takes flits: a page of their own.

They lie beside those of ``host_registers``, on a second page, for hosts that reach the chip by
reads and writes alone. Standard library only.
"""

from .bit_fields import BitFields
from .host_registers import ADDRESS_WIDTH, Access, HostRegister

WINDOW_PAGE = 1 << ADDRESS_WIDTH  # byte address of this page where both lie in one region
WINDOW_DEPTH = 64  # flits each way
_LEVEL = 16


def _register(
    number: int, name: str, access: Access, widths: dict[str, int], meaning: str
) -> HostRegister:
    return HostRegister(number, access, BitFields(name, tuple(widths.items())), meaning)


WINDOW_REGISTERS: dict[str, HostRegister] = {
    register.name: register
    for register in (
        _register(0, "flit_low", Access.VALUE, {"word": 32}, "lower half of the flit to send"),
        _register(1, "flit_high", Access.VALUE, {"word": 32}, "upper half of the flit to send"),
        _register(
            2,
            "send",
            Access.COMMAND,
            {"send": 1},
            "sends the flit of FLIT_LOW and FLIT_HIGH; refused where there is no room",
        ),
        _register(
            3,
            "take",
            Access.COMMAND,
            {"take": 1},
            "the flit of HEAD_LOW and HEAD_HIGH was taken; refused where there is none",
        ),
        _register(4, "head_low", Access.STATUS, {"word": 32}, "lower half of the oldest flit"),
        _register(5, "head_high", Access.STATUS, {"word": 32}, "upper half of the oldest flit"),
        _register(
            6,
            "levels",
            Access.STATUS,
            {"room": _LEVEL, "waiting": _LEVEL},
            "flits that can be sent now, and that can be taken",
        ),
        _register(7, "clear", Access.COMMAND, {"clear": 1}, "drops all flits in this window"),
    )
}
