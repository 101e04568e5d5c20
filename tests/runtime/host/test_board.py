# SPDX-License-Identifier: Apache-2.0
"""The driver at a chip that is not the right one, or does not do what it must."""

import re
from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.virtual.parts import START_FLITS, load_flits, load_words
from stemcore.golden.spec.fields import ALERT, Formats, Kind, Memory
from stemcore.golden.spec.host_registers import (
    BURST_MINOR,
    HOST_REGISTERS,
    IDENTITY,
    param_words,
)
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.errors import EngineError
from stemcore.runtime.host.board import Board
from stemcore.runtime.host.transport import PortError, Transport
from tests.support.bursts import flits_of_words
from tests.support.chip_programs import four_core_case

_, PROGRAM, IMAGES = four_core_case(0)
FORMATS = Formats(PROGRAM.params)


class Chip(Transport):
    """Registers, and memories that answer; cores never do anything."""

    name = "/dev/ttyTEST"
    reads_at_once = 7

    def __init__(self, params=PROGRAM.params, columns=2, rows=2, **registers):
        mesh = HOST_REGISTERS["MESH"].layout.pack(
            columns=columns, rows=rows, flit_width=FORMATS.flit.width, stream_width=64
        )
        self.values = {
            "IDENTITY": IDENTITY,
            "VERSION": 1 << 16,
            "MESH": mesh,
            **param_words(params),
        }
        self.values |= registers
        self.written, self.restarts = [], 0
        self.memories, self.pointers, self.out = {}, {}, []
        self.answers = True
        self.n_words = 0

    def restart(self):
        self.restarts += 1

    def read(self, address):
        (name,) = (n for n, register in HOST_REGISTERS.items() if register.offset == address)
        return self.values.get(name, 0)

    def write(self, address, value):
        (name,) = (n for n, register in HOST_REGISTERS.items() if register.offset == address)
        self.written.append((name, value))

    def send(self, words):
        self.n_words += len(words)
        takes_bursts = (self.values["VERSION"] & 0xFFFF) >= BURST_MINOR
        for flit in flits_of_words(words, FORMATS) if takes_bursts else words:
            fields = FORMATS.flit.unpack(flit)
            node = fields["x0"], fields["y0"]
            pointer = self.pointers.get(node)
            if fields["kind"] == Kind.ADDRESS:
                address = FORMATS.pointer.unpack(fields["payload"] & 0xFFFF_FFFF)
                self.pointers[node] = [address["memory"], address["address"], address["chunk"]]
                continue
            assert fields["kind"] != Kind.DATA, "nothing that a host sends to a chip"
            if fields["kind"] not in (Kind.WRITE, Kind.READ):
                continue
            place = (node, *pointer)
            if fields["kind"] == Kind.WRITE:
                self.memories[place] = fields["payload"]
            elif self.answers:
                word = FORMATS.flit.pack(
                    kind=int(Kind.DATA), x0=0, y0=0, x1=0, y1=0, payload=self.memories.get(place, 0)
                )
                self.out.append(word)
            n_chunks = FORMATS.n_chunks(Memory(pointer[0]))
            pointer[2] += 1
            if pointer[2] == n_chunks:
                pointer[1:] = [pointer[1] + 1, 0]

    n_waiting = 0

    def receive(self, wait):
        out, self.out = self.out, []
        return out

    def close(self):
        pass


@pytest.mark.parametrize(
    ("chip", "text"),
    [
        (Chip(IDENTITY=7), r"a chip of this project must be there .* got 0x7; load its bitstream"),
        (Chip(VERSION=2 << 16), r"the registers of the board must have version 1, got 2\.0"),
        (
            Chip(params=get_preset("sim32")),
            rf"the sizes that {PROGRAM.name} was compiled for, got .*lanes \d+ \(not \d+\).*preset",
        ),
        (Chip(columns=1), r"must have 2 x 2 nodes for .*, got 1 x 2; compile .*MESH=1x2"),
        (Chip(PARAM_INTEGRATION=1), r"PARAM_INTEGRATION: must be the CRC-32"),
    ],
)
def test_another_chip_is_refused_before_anything_is_written(chip, text):
    with pytest.raises(PortError, match=rf"^/dev/ttyTEST: .*{text}"):
        Board(chip).run(PROGRAM, IMAGES)
    assert not chip.written and not chip.pointers


def test_a_larger_chip_will_do():
    chip = Chip(columns=3, rows=4)
    assert Board(chip).check_fits(PROGRAM).columns == 3


def test_a_reset_that_does_not_end_is_explained(monkeypatch):
    monkeypatch.setattr("stemcore.runtime.host.board.RESET_S", 0.05)
    chip = Chip(
        STATUS=HOST_REGISTERS["STATUS"].layout.pack(
            quiet=0, resetting=1, sending=0, open=0, output=0, burst=0
        )
    )
    with pytest.raises(PortError, match=r"a reset must end, .* the chip's clock does not run"):
        Board(chip).reset()


def test_reset_forgets_what_is_under_way_before_and_after():
    chip = Chip()
    Board(chip).reset()
    assert chip.written == [("RESET", 1)] and chip.restarts == 3


def test_memories_are_compared_word_by_word():
    chip = Chip()
    core = PROGRAM.cores[1]
    send = chip.send

    def damaging(flits):
        send(flits)
        place = ((core.x, core.y), Memory.WEIGHT, 1, 0)
        if place in chip.memories:
            chip.memories[place] ^= 1

    chip.send = damaging
    wanted = rf"^node \({core.x}, {core.y}\): WEIGHT must hold what was written; word 1, chunk 0 "
    with pytest.raises(EngineError, match=wanted):
        Board(chip).run(PROGRAM, IMAGES)


@pytest.mark.parametrize("minor", [0, BURST_MINOR - 1, BURST_MINOR, BURST_MINOR + 1])
def test_a_chip_is_configured_in_bursts_if_it_takes_them(minor):
    """Its memories hold the same either way: they are read back in the run."""
    chip = Chip(VERSION=1 << 16 | minor)
    board = Board(chip)
    assert board.identify().takes_bursts == (minor >= BURST_MINOR)
    ran = board.run(PROGRAM, IMAGES[:0])
    starts = START_FLITS * len(PROGRAM.cores)
    assert ran.n_flits == load_flits(PROGRAM) - starts
    in_bursts = load_words(PROGRAM) - starts
    assert ran.configuration_words == (in_bursts if minor >= BURST_MINOR else ran.n_flits)
    # Before the images: what configures, and two flits for each core's memories to be read back.
    n_reads = sum(
        words.size
        for core in PROGRAM.cores
        for memory, words in core.memories.items()
        if memory is not Memory.CONTROL
    )
    assert 0 <= chip.n_words - ran.configuration_words - n_reads < 100
    assert in_bursts < ran.n_flits


def test_reads_without_answers_end():
    chip = Chip()
    chip.answers = False
    with pytest.raises(EngineError, match=r"a READ must be answered; \d+ were not in 0.05 s"):
        Board(chip, standstill_s=0.05).run(PROGRAM, IMAGES)


@pytest.mark.medium
def test_a_standstill_says_what_the_chip_says():
    chip = Chip(FLITS_IN=1234)
    wanted = (
        rf"^{re.escape(PROGRAM.name)}: 5 images must come out, 0 did, and no flit has passed for "
        r"0\.05 s\n  host side: quiet 0, .*\n  FLITS_IN 1234\n"
    )
    with pytest.raises(EngineError, match=wanted):
        Board(chip, standstill_s=0.05).run(PROGRAM, IMAGES)


def test_alerts_of_cores_end_the_run():
    chip = Chip()
    alert = FORMATS.errors.pack(
        **{name: 0 for name, _ in FORMATS.errors.widths} | {"token": 1, "count": 1, "x": 1, "y": 2}
    )
    receive = chip.receive

    def alarming(wait):
        flits = receive(wait)
        if chip.pointers and not flits:
            flits = [FORMATS.flit.pack(kind=int(ALERT), x0=0, y0=0, x1=0, y1=0, payload=alert)]
        return flits

    chip.receive = alarming
    with pytest.raises(EngineError, match=r"node \(1, 2\): 1 error"):
        Board(chip, standstill_s=5).run(PROGRAM, IMAGES)


def test_errors_of_the_host_side_are_named():
    chip = Chip(
        ERRORS=HOST_REGISTERS["ERRORS"].layout.pack(
            **{name: int(name == "beyond") for name, _ in HOST_REGISTERS["ERRORS"].layout.widths}
        )
    )
    with pytest.raises(EngineError, match="the host side must see no error, got beyond"):
        Board(chip).run(replace(PROGRAM), np.asarray(IMAGES[:0]))
