# SPDX-License-Identifier: Apache-2.0
"""Flits of the chip that stands behind the benches of the host side with AXI."""

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control

COLUMNS, ROWS = 2, 2
FORMATS = Formats(get_preset("tiny"))


def flit(kind: Kind, rectangle=(0, 0, 0, 0), payload: int = 0) -> int:
    """One flit of ``kind``."""
    names = ("x0", "y0", "x1", "y1")
    return FORMATS.flit.pack(
        kind=int(kind), **dict(zip(names, rectangle, strict=True)), payload=payload
    )


def kind_of(word: int) -> Kind:
    """Of a flit."""
    return Kind(FORMATS.flit.unpack(word)["kind"])


def command_flits(rectangle, **does: int) -> list[int]:
    """What writes COMMAND of the cores of a rectangle."""
    pointer = FORMATS.pointer.pack(
        memory=int(Memory.CONTROL), chunk=0, address=int(Control.COMMAND)
    )
    word = FORMATS.command.pack(**{f: does.get(f, 0) for f, _ in FORMATS.command.widths})
    return [flit(Kind.ADDRESS, rectangle, pointer), flit(Kind.WRITE, rectangle, word)]
