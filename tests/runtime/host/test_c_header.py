# SPDX-License-Identifier: Apache-2.0
"""The C header of the register map, read by a C compiler."""

import re
import shutil
import subprocess

import pytest

from stemcore.golden.spec.fields import Kind
from stemcore.golden.spec.host_registers import BURST_MINOR, HOST_REGISTERS, IDENTITY, MAJOR, MINOR
from stemcore.golden.spec.host_window import WINDOW_REGISTERS
from stemcore.golden.spec.uart_frames import HEADER, MAX_FLITS, FrameKind
from stemcore.runtime.host.c_header import c_header


def wanted():
    """Every name with its value."""
    values = {
        "STEMCORE_IDENTITY_VALUE": IDENTITY,
        "STEMCORE_VERSION_MAJOR_VALUE": MAJOR,
        "STEMCORE_VERSION_MINOR_VALUE": MINOR,
        "STEMCORE_BURST_MINOR": BURST_MINOR,
    }
    values |= {f"STEMCORE_KIND_{kind.name}": int(kind) for kind in Kind}
    values["STEMCORE_WINDOW_PAGE"] = 4096
    window = {f"WINDOW_{name}": register for name, register in WINDOW_REGISTERS.items()}
    for name, register in {**HOST_REGISTERS, **window}.items():
        values[f"STEMCORE_{name}"] = register.number * 4
        for field, position, width in register.layout:
            one = f"STEMCORE_{name}_{field.upper()}"
            values |= {f"{one}_SHIFT": position, f"{one}_MASK": (2**width - 1) * 2**position}
    uart = {
        "FLAG": 0x7E,
        "ESCAPE": 0x7D,
        "FLIPPED": 0x20,
        "HEADER_BYTES": 8,
        "CRC_BYTES": 4,
        "FLIT_BYTES": 8,
        "MAX_FLITS": MAX_FLITS,
    }
    uart |= {f"KIND_{kind.name}": int(kind) for kind in FrameKind}
    for field, position, width in HEADER:
        uart |= {
            f"HEADER_{field.upper()}_{what}": n
            for what, n in (("SHIFT", position), ("WIDTH", width))
        }
    values |= {f"STEMCORE_UART_{name}": value for name, value in uart.items()}
    return values


def test_every_name_is_defined_once():
    names = re.findall(r"^#define (\w+) \S+$", c_header(), re.MULTILINE)
    assert sorted(names) == sorted(wanted())
    assert len(set(names)) == len(names)


@pytest.mark.sim
def test_a_strict_c_compiler_reads_the_values(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler must be there, as for the native engine"
    (tmp_path / "stemcore_registers.h").write_text(c_header())
    lines = "".join(f'  printf("{name} %lu\\n", (unsigned long){name});\n' for name in wanted())
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "stemcore_registers.h"\n#include "stemcore_registers.h"\n'
        f"int main(void) {{\n{lines}  return 0;\n}}\n"
    )
    flags = ["-std=c90", "-Wall", "-Wextra", "-Werror", "-pedantic-errors"]
    subprocess.run([compiler, *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    output = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert {name: int(value) for name, value in map(str.split, output.splitlines())} == wanted()
