# SPDX-License-Identifier: Apache-2.0
"""Runs of WRITE flits as bursts, read back by a reader of a few lines."""

import numpy as np
import pytest

from stemcore.compiler.virtual.parts import START_FLITS, load_flits, load_words
from stemcore.golden.spec.bursts import MAX_COUNT, MIN_COUNT, burst_words, stream_words
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.runtime.host.bursts import as_bursts
from stemcore.runtime.host.flits import Host
from stemcore.testing import seeded
from tests.support.bursts import flits_of_words
from tests.support.chip_programs import four_core_case

FORMATS = Formats(get_preset("tiny"))
OTHERS = tuple(kind for kind in Kind if kind not in (Kind.WRITE, Kind.DATA))
NODES = ({"x0": 1, "y0": 1, "x1": 1, "y1": 1}, {"x0": 0, "y0": 2, "x1": 3, "y1": 2})


def words_of(flits, formats=FORMATS):
    return as_bursts(np.array(flits, np.uint64), formats).tolist()


def write(payload, node=NODES[0], formats=FORMATS):
    return formats.flit.pack(kind=int(Kind.WRITE), **node, payload=payload)


@pytest.mark.parametrize("preset", [name for name in PRESETS if not name.startswith("large")])
def test_any_flits_come_back(preset):
    """Of all kinds, to two rectangles, in runs of all lengths; a payload may have any bits."""
    formats = Formats(get_preset(preset))
    rng = seeded("bursts", preset)
    for _ in range(20):
        flits = []
        for _ in range(int(rng.integers(0, 12))):
            kind = Kind.WRITE if rng.random() < 0.7 else OTHERS[int(rng.integers(len(OTHERS)))]
            width = formats.payload_width if rng.random() < 0.1 else 32
            flits += [
                formats.flit.pack(
                    kind=int(kind),
                    **NODES[int(rng.integers(2))],
                    payload=int(rng.integers(1 << width)),
                )
            ] * int(rng.integers(1, 9))
        words = words_of(flits, formats)
        assert flits_of_words(words, formats) == flits
        assert len(words) <= len(flits)


def test_no_flits_are_no_words():
    assert words_of([]) == []


@pytest.mark.parametrize("n", [1, MIN_COUNT - 1, MIN_COUNT, MIN_COUNT + 1, 100])
def test_a_run_is_a_burst_where_that_is_shorter(n):
    words = words_of([write(k) for k in range(n)])
    assert len(words) == min(n, burst_words(n)) == stream_words(n)


@pytest.mark.medium
@pytest.mark.parametrize("n", [MAX_COUNT, MAX_COUNT + 1, 2 * MAX_COUNT + MIN_COUNT])
def test_long_runs_are_several_bursts(n):
    flits = [write(k) for k in range(n)]
    words = words_of(flits)
    assert len(words) == stream_words(n) and flits_of_words(words, FORMATS) == flits


def test_a_write_with_more_than_32_bits_stays_a_flit():
    """A host may send it, to see it refused; a burst has no room for it."""
    formats = Formats(get_preset("ecp5"))
    flits = [write(k, formats=formats) for k in range(8)]
    flits[4] = write(1 << 32, formats=formats)
    words = words_of(flits, formats)
    assert flits[4] in words and flits_of_words(words, formats) == flits


def test_a_header_among_flits_is_refused():
    flits = [write(1), FORMATS.flit.pack(kind=int(Kind.DATA), **NODES[0], payload=3)]
    with pytest.raises(ValueError, match=r"^flits: a host must send no DATA, .* got flit 1 of 2$"):
        words_of(flits)


def test_a_program_is_sent_in_fewer_words():
    """As many as the estimate of a board says."""
    _, program, _ = four_core_case(0)
    host = Host(program)
    flits = np.concatenate([host.configuration(core) for core in program.cores])
    words = as_bursts(flits, host.formats)
    starts = START_FLITS * len(program.cores)
    assert len(flits) + starts == load_flits(program)
    assert len(words) + starts == load_words(program)
    assert len(words) < 0.65 * len(flits), "half, and short memories"
    assert flits_of_words(words.tolist(), host.formats) == flits.tolist()
