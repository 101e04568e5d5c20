# SPDX-License-Identifier: Apache-2.0
"""The tables of hdl/README.md say what stemcore.golden.spec.fields says."""

import re
from pathlib import Path

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset

TEXT = (Path(__file__).parent.parent.parent / "hdl" / "README.md").read_text()
FORMATS = Formats(get_preset("sim32"))
CONSTANTS = Formats(get_preset("darwin3"))  # a neuron model that has some
REPEATED = ("weight", "requant")  # described in words: one field a lane


def rows(heading):
    """Cells of the table whose first heading is ``heading``."""
    table = TEXT[TEXT.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_readme_shows_every_bit_field():
    formats = [
        name
        for name in vars(Formats)
        if isinstance(vars(Formats)[name], property)
        and name not in ("rectangle", "payload_width", "n_registers")
    ]
    shown = {name: (int(width), fields) for name, width, fields in rows("word")}
    assert sorted(shown) == sorted(formats)
    for name, (width, fields) in shown.items():
        layout = getattr(CONSTANTS if name == "integration" else FORMATS, name)
        assert width == layout.width, name
        if name not in REPEATED:
            pairs = [(f, int(w)) for f, w in re.findall(r"`(\w+)` (\d+)", fields)]
            assert tuple(pairs) == layout.widths, name


def test_readme_shows_every_memory():
    shown = [(name, *map(int, numbers)) for name, *numbers in rows("memory")]
    assert shown == [
        (memory.name, int(memory), FORMATS.memory(memory)[1], FORMATS.n_chunks(memory))
        for memory in Memory
    ]
