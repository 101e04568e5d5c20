# SPDX-License-Identifier: Apache-2.0
"""What a host in C needs: registers and frames as a header, and the driver of a serial line."""

from pathlib import Path

from stemcore.golden.spec.fields import Kind
from stemcore.golden.spec.host_registers import (
    BURST_MINOR,
    HOST_REGISTERS,
    IDENTITY,
    MAJOR,
    MINOR,
    HostRegister,
)
from stemcore.golden.spec.host_window import WINDOW_PAGE, WINDOW_REGISTERS
from stemcore.golden.spec.uart_frames import (
    CRC_BYTES,
    ESCAPE,
    FLAG,
    FLIPPED,
    FLIT_BYTES,
    HEADER,
    HEADER_BYTES,
    MAX_FLITS,
    FrameKind,
)

PREFIX = "STEMCORE"
_DRIVER = ("stemcore.h", "stemcore.c")


def write_c_driver(folder: Path) -> None:
    """Writes the driver of a chip behind a serial line: ``stemcore.h``, ``stemcore.c``, and the
    header that they are made for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _DRIVER:
        text = (Path(__file__).parent / "templates" / name).read_text()
        (folder / name).write_text(text)
    (folder / "stemcore_registers.h").write_text(c_header())


def c_header() -> str:
    """Text of ``stemcore_registers.h``: offsets, masks and shifts, for C90 and later.

    ``STEMCORE_NAME`` is a byte offset; ``STEMCORE_NAME_FIELD_SHIFT`` and ``.._MASK`` (unshifted:
    of the register's bits) are a field's place.
    """
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Registers of the host side. Made from golden/spec/host_registers.py: change that. */",
        f"#ifndef {PREFIX}_REGISTERS_H",
        f"#define {PREFIX}_REGISTERS_H",
        "",
        f"#define {PREFIX}_IDENTITY_VALUE {IDENTITY:#010x}UL",
        f"#define {PREFIX}_VERSION_MAJOR_VALUE {MAJOR}UL",
        f"#define {PREFIX}_VERSION_MINOR_VALUE {MINOR}UL",
        "/* From this minor version on, write bursts are taken. */",
        f"#define {PREFIX}_BURST_MINOR {BURST_MINOR}UL",
        "",
        "/* Kinds of flits, bits 0 to 2 of each. */",
        *(f"#define {PREFIX}_KIND_{kind.name} {int(kind)}UL" for kind in Kind),
    ]
    for register in HOST_REGISTERS.values():
        lines += ["", *_lines(register)]
    lines += ["", "/* The window of flits, from golden/spec/host_window.py. */"]
    lines.append(f"#define {PREFIX}_WINDOW_PAGE {WINDOW_PAGE:#06x}UL")
    for register in WINDOW_REGISTERS.values():
        lines += ["", *_lines(register, f"{PREFIX}_WINDOW")]
    return "\n".join([*lines, "", *_frames(), "", "#endif", ""])


def _lines(register: HostRegister, prefix: str = PREFIX) -> list[str]:
    name = f"{prefix}_{register.name}"
    lines = [
        f"/* {register.meaning.replace('`', '')} ({register.access.value}) */",
        f"#define {name} {register.offset:#05x}UL",
    ]
    for field, position, width in register.layout:
        mask = ((1 << width) - 1) << position
        lines += [
            f"#define {name}_{field.upper()}_SHIFT {position}",
            f"#define {name}_{field.upper()}_MASK {mask:#010x}UL",
        ]
    return lines


def _frames() -> list[str]:
    """``STEMCORE_UART_HEADER_FIELD_SHIFT`` and ``_WIDTH``: places in the 64 bits of the header."""
    values = {
        "FLAG": FLAG,
        "ESCAPE": ESCAPE,
        "FLIPPED": FLIPPED,
        "HEADER_BYTES": HEADER_BYTES,
        "CRC_BYTES": CRC_BYTES,
        "FLIT_BYTES": FLIT_BYTES,
        "MAX_FLITS": MAX_FLITS,
        **{f"KIND_{kind.name}": int(kind) for kind in FrameKind},
    }
    lines = ["/* Frames on a serial line, from golden/spec/uart_frames.py. */"]
    lines += [f"#define {PREFIX}_UART_{name} {value}UL" for name, value in values.items()]
    for name, position, width in HEADER:
        lines += [
            f"#define {PREFIX}_UART_HEADER_{name.upper()}_SHIFT {position}",
            f"#define {PREFIX}_UART_HEADER_{name.upper()}_WIDTH {width}",
        ]
    return lines
