# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.program.words import join_chunks, pack_words, unpack_words, unsigned
from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset

MEMORIES = [memory for memory in Memory if memory is not Memory.CONTROL]


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("memory", MEMORIES)
def test_pack_words_matches_the_bit_fields(preset, memory, rng):
    formats = Formats(get_preset(preset))
    layout = formats.memory(memory)[0]
    columns = {f: rng.integers(0, 1 << width, 5) for f, width in layout.widths}
    chunks = pack_words(layout, columns)
    assert chunks.dtype == np.uint32
    assert chunks.shape == (5, formats.n_chunks(memory))
    for i, word in enumerate(chunks):
        expected = layout.pack(**{f: int(values[i]) for f, values in columns.items()})
        assert sum(int(chunk) << (32 * n) for n, chunk in enumerate(word)) == expected
    for name, values in unpack_words(layout, chunks).items():
        np.testing.assert_array_equal(values, columns[name])


def test_pack_words_lets_fields_cross_chunks():
    layout = BitFields("wide", (("low", 20), ("middle", 54), ("high", 6)))
    chunks = pack_words(layout, {"low": 0, "middle": (1 << 54) - 1, "high": [0, 63]})
    np.testing.assert_array_equal(
        chunks, [[0xFFF00000, 0xFFFFFFFF, 0x3FF], [0xFFF00000, 0xFFFFFFFF, 0xFFFF]]
    )


def test_pack_words_of_nothing_is_empty():
    layout = BitFields("pair", (("low", 30), ("high", 30)))
    assert pack_words(layout, {"low": [], "high": []}).shape == (0, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"low": [1, 8], "high": 0}, r"^pair\.low: must fit in 3 unsigned bits, got 1\.\.8$"),
        ({"low": -1, "high": 0}, r"^pair\.low: must fit in 3 unsigned bits, got -1\.\.-1$"),
        ({"low": 1}, r"^pair: fields must be \['low', 'high'\], got \['low'\]$"),
    ],
)
def test_pack_words_refuses_what_does_not_fit(columns, message):
    with pytest.raises(ValueError, match=message):
        pack_words(BitFields("pair", (("low", 3), ("high", 5))), columns)


def test_unpack_words_refuses_another_number_of_chunks():
    message = r"^pair: words must be uint32 of shape \(words, 1\), got \(4, 2\)$"
    with pytest.raises(ValueError, match=message):
        unpack_words(BitFields("pair", (("low", 3), ("high", 5))), np.zeros((4, 2), np.uint32))


def test_unsigned_is_two_s_complement_of_the_width():
    assert unsigned([-1, -3, 5, 0], 4).tolist() == [15, 13, 5, 0]
    assert unsigned(-1, 1) == 1
    assert unsigned(-1, 33) == (1 << 33) - 1


def test_chunks_join_to_words_of_any_width():
    chunks = np.array([[1, 2, 3], [0xFFFFFFFF, 0, 5]], np.uint32)
    assert join_chunks(chunks) == [1 | 2 << 32 | 3 << 64, 0xFFFFFFFF | 5 << 64]
    assert join_chunks(np.zeros((0, 2), np.uint32)) == []
