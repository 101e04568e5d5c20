# SPDX-License-Identifier: Apache-2.0
"""The register map of the host side: consistent, and its words describe a chip."""

import re
from zlib import crc32

import pytest

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.host_registers import (
    ADDRESS_WIDTH,
    COORD_WIDTH,
    FIRST_PARAM,
    HOST_REGISTERS,
    IDENTITY,
    REGISTER_BYTES,
    REGISTER_WIDTH,
    SUPPORTED_COORD_WIDTH,
    Access,
    param_words,
    params_of_words,
)
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import PRESETS


def test_registers_have_places_and_widths_of_their_own():
    numbers = [register.number for register in HOST_REGISTERS.values()]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
    assert max(numbers) * REGISTER_BYTES < 1 << ADDRESS_WIDTH
    for register in HOST_REGISTERS.values():
        assert 0 < register.layout.width <= REGISTER_WIDTH, register.name
        assert register.init & ~register.mask == 0, register.name
        assert set(register.meanings) <= {name for name, _ in register.layout.widths}
        assert register.meaning, register.name


def test_places_that_drivers_rely_on():
    offsets = {name: HOST_REGISTERS[name].offset for name in ("IDENTITY", "STATUS", "COMMAND")}
    assert offsets == {"IDENTITY": 0x00, "STATUS": 0x0C, "COMMAND": 0x18}
    assert HOST_REGISTERS["ERRORS"].offset == 0x28
    assert HOST_REGISTERS["PARAM_LANES"].offset == FIRST_PARAM * 4 == 0x80
    assert IDENTITY.to_bytes(4, "little") == b"STEM"


def test_no_write_of_64_bits_sets_what_its_command_reads():
    """NODES and COMMAND, or SAMPLE_ENDS, would otherwise change in the cycle in which they act."""
    pairs = {}
    for register in HOST_REGISTERS.values():
        pairs.setdefault(register.number // 2, set()).add(register.name)
    for reads in ("NODES", "RESET", "SAMPLE_ENDS"):
        assert not any({"COMMAND", reads} <= pair for pair in pairs.values()), reads


def test_bits_are_those_of_cores():
    formats = Formats(ChipParams())
    assert HOST_REGISTERS["COMMAND"].layout.widths == formats.command.widths
    causes = [name for name, _ in HOST_REGISTERS["ERRORS"].layout.widths]
    assert causes[: len(Error)] == [name for name, _ in formats.errors.widths[: len(Error)]]
    kinds = HOST_REGISTERS["LAST_KINDS"].init
    assert [kind for kind in Kind if not kinds >> kind & 1] == [Kind.SPIKE, Kind.END]


def test_widest_coordinates_fit():
    widest = Formats(ChipParams(coord_width=SUPPORTED_COORD_WIDTH, c_width=8))
    assert widest.errors.width <= REGISTER_WIDTH
    assert SUPPORTED_COORD_WIDTH <= COORD_WIDTH


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_read_back(preset):
    words = param_words(PRESETS[preset])
    assert list(words) == [name for name, r in HOST_REGISTERS.items() if r.number >= FIRST_PARAM]
    assert params_of_words(list(words.values())) == PRESETS[preset]


def test_words_of_no_chip_are_refused():
    words = param_words(ChipParams())
    names = list(words)

    def changed(name, value):
        return [value if n == name else words[n] for n in names]

    with pytest.raises(ValueError, match=rf"^words: must be {len(names)}, .* got 3$"):
        params_of_words([1, 2, 3])
    message = "PARAM_INTEGRATION: must be the CRC-32 of one of exact, .*got 0x0000002a; use"
    with pytest.raises(ValueError, match=f"^{message}"):
        params_of_words(changed("PARAM_INTEGRATION", 42))
    with pytest.raises(ValueError, match=r"^PARAM_MULTIPLIERS: must be 0 or 1, got 2$"):
        params_of_words(changed("PARAM_MULTIPLIERS", 2))
    with pytest.raises(ValueError, match=r"^ChipParams\.lanes: must be a positive integer, got 0$"):
        params_of_words(changed("PARAM_LANES", 0))
    assert words["PARAM_INTEGRATION"] == crc32(b"exact")


def test_what_can_be_written_says_so():
    assert [access.name for access in Access if not access.is_writable] == ["CONSTANT", "STATUS"]
    names = {name for name, r in HOST_REGISTERS.items() if r.access is Access.COMMAND}
    assert names == {"RESET", "COMMAND"}
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in HOST_REGISTERS)
