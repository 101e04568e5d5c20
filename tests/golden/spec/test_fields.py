# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset

TINY = Formats(get_preset("tiny"))
LAYOUTS = [
    "rectangle",
    "spike",
    "pointer",
    "flit",
    "axon",
    "table_c",
    "table_y",
    "table_x",
    "weight",
    "update_pass",
    "requant_lane",
    "requant",
    "lookup",
    "fire",
    "destination",
    "mode",
    "token_list",
    "command",
    "flags",
]


@pytest.mark.parametrize(
    ("layout", "values", "word"),
    [
        # x0 = 1 at bit 0, y0 = 2 at bit 3, x1 = 3 at bit 6, y1 = 4 at bit 9
        (TINY.rectangle, {"x0": 1, "y0": 2, "x1": 3, "y1": 4}, 0b100_011_010_001),
        # axon 2 bits, t 4 bits, c 6 bits, y 5 bits, x 5 bits
        (
            TINY.spike,
            {"axon": 3, "t": 5, "c": 33, "y": 17, "x": 1},
            0b00001_10001_100001_0101_11,
        ),
        (TINY.pointer, {"memory": 5, "chunk": 2, "address": 0x1234}, 0x1234 << 9 | 2 << 4 | 5),
        # w0 lowest: 1, -1, 127, -127
        (TINY.weight, {"w0": 1, "w1": 0xFF, "w2": 0x7F, "w3": 0x81}, 0x817FFF01),
        # acc 6 bits, block 4 bits
        (
            TINY.update_pass,
            {"acc": 33, "block": 9, "first": 1, "last": 0, "clear": 1},
            0b1_0_1_1001_100001,
        ),
        (
            TINY.requant_lane,
            {"bias": 0xFFFFFFFE, "multiplier": 0x8001, "shift": 47},
            47 << 48 | 0x8001 << 32 | 0xFFFFFFFE,
        ),
        (
            TINY.fire,
            {"block": 10, "y": 4, "x": 9, "start": 21, "count": 32},
            0b100000_10101_01001_00100_1010,
        ),
        (
            TINY.mode,
            {"bits": 8, "is_signed": 1, "use_lookup": 0, "bias_shift": 2, "is_raw": 1, "gap": 0},
            0b1_10_0_1_1000,
        ),
        (TINY.token_list, {"start": 3, "count": 2}, 0b000010_00011),
    ],
)
def test_layout_packs_the_documented_word(layout, values, word):
    assert layout.pack(**values) == word
    assert layout.unpack(word) == values


def test_axon_word_holds_its_fields_in_order():
    widths = [6, 5, 5, 6, 6, 9, 9, 4, 1, 2]
    names = [name for name, _ in TINY.axon.widths]
    assert [width for _, width in TINY.axon.widths] == widths
    values = {name: (1 << width) - 1 - i % 2 for i, (name, width) in enumerate(TINY.axon.widths)}
    word, position = 0, 0
    for name, width in zip(names, widths, strict=True):
        word += values[name] * 2**position
        position += width
    assert TINY.axon.pack(**values) == word


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("name", LAYOUTS)
def test_unpack_inverts_pack(preset, name, rng):
    layout = getattr(Formats(get_preset(preset)), name)
    for _ in range(5):
        values = {
            field: int.from_bytes(rng.bytes(8), "little") % (1 << width)
            for field, width in layout.widths
        }
        word = layout.pack(**values)
        assert 0 <= word < 1 << layout.width
        assert layout.unpack(word) == values


def test_fields_neither_overlap_nor_leave_holes():
    for name in LAYOUTS:
        layout = getattr(TINY, name)
        end = 0
        for _, position, width in layout:
            assert position == end
            end += width
        assert end == layout.width


def test_pack_works_on_arrays():
    layout = BitFields("pair", (("low", 3), ("high", 5)))
    words = layout.pack(low=np.array([1, 7]), high=np.array([0, 31]))
    np.testing.assert_array_equal(words, [1, 255])
    np.testing.assert_array_equal(layout.unpack(words)["high"], [0, 31])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 8, "high": 0}, r"^pair\.low: must fit in 3 unsigned bits, got 8\.\.8$"),
        ({"low": -1, "high": 0}, r"^pair\.low: must fit in 3 unsigned bits, got -1\.\.-1$"),
        (
            {"low": np.array([1, 9]), "high": np.array([0, 0])},
            r"^pair\.low: must fit in 3 unsigned bits, got 1\.\.9$",
        ),
        ({"low": 1}, r"^pair: fields must be \['low', 'high'\], got \['low'\]$"),
        ({"low": 1, "height": 1}, r"^pair: fields must be .*, got \['height', 'low'\]$"),
    ],
)
def test_pack_refuses_what_does_not_fit(values, message):
    layout = BitFields("pair", (("low", 3), ("high", 5)))
    with pytest.raises(ValueError, match=message):
        layout.pack(**values)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_memory_has_a_format_that_the_pointer_reaches(preset):
    formats = Formats(get_preset(preset))
    for memory in Memory:
        layout, depth = formats.memory(memory)
        assert formats.word_width(memory) == (32 if layout is None else layout.width)
        assert formats.word_width(memory) <= 32 * formats.n_chunks(memory)
        formats.pointer.pack(memory=memory, chunk=formats.n_chunks(memory) - 1, address=depth - 1)
    assert formats.payload_width >= max(formats.spike.width, formats.pointer.width, 32)
