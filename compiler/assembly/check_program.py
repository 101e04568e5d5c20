# SPDX-License-Identifier: Apache-2.0
"""Check of an assembled program: memories, runs of destinations, balance of the tokens."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import unpack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node

from ..errors import AssembleError
from ..mapping.rectangles import nodes_of

ENTRY = ("x0", "y0", "x1", "y1", "axon")
LISTS = ((Control.END_LIST, "end"), (Control.CREDIT_LIST, "credit"))
Entries = NDArray[np.int64]  # (entries, fields of ENTRY)


def check_program(program: Program) -> None:
    """Raises ``AssembleError`` unless memories fit, runs are disjoint and tokens balance.

    A run of destinations is disjoint if no node gets a spike twice through one axon. Tokens balance
    if each core gets as many ENDs and CREDITs as it waits for, at least one of each, and the host
    as many as the program says.
    """
    formats = Formats(program.params)
    tokens = {"end": Counter[Node](), "credit": Counter[Node]()}
    nodes = {(core.x, core.y) for core in program.cores}
    for core in program.cores:
        _check_memories(core, formats)
        entries = _entries(core, formats)
        _check_runs(core, formats, entries)
        for register, name in LISTS:
            run = formats.token_list.unpack(_control(core, register))
            for x, y, _ in _reached(core, entries, run["start"], run["count"]):
                if (x, y) != HOST and (x, y) not in nodes:
                    raise AssembleError(
                        _where(core), f"sends {name} to ({x}, {y}), which has no core"
                    )
                tokens[name][x, y] += 1
    tokens["end"].update(node for rectangle in program.input_end for node in nodes_of(rectangle))
    tokens["credit"].update(program.output_cores)
    for name, counts in tokens.items():
        for x, y in sorted(counts.keys() - nodes - {HOST}):
            raise AssembleError("host", f"sends {name} to ({x}, {y}), which has no core")
    _check_balance(program, tokens)


def _where(core: CoreImage) -> str:
    return f"{core.layer} (core {core.x}, {core.y})"


def _control(core: CoreImage, register: Control) -> int:
    return int(core.memories[Memory.CONTROL][register, 0])


def _check_memories(core: CoreImage, formats: Formats) -> None:
    for memory, words in core.memories.items():
        _, depth = formats.memory(memory)
        shape = (len(words), formats.n_chunks(memory))
        if words.shape != shape or len(words) > depth:
            raise AssembleError(
                _where(core),
                f"{memory.name} must be at most {depth} x {shape[1]}, is {words.shape}",
            )


def _entries(core: CoreImage, formats: Formats) -> Entries:
    table = formats.destination.unpack(core.memories[Memory.DESTINATION].astype(np.uint64))
    return np.stack([table[field][:, 0].astype(np.int64) for field in ENTRY], axis=1)


def _check_runs(core: CoreImage, formats: Formats, entries: Entries) -> None:
    """Runs of spikes lie in the table and are disjoint."""
    fields = unpack_words(formats.fire, core.memories[Memory.FIRE])
    runs = zip(fields["start"].tolist(), fields["count"].tolist(), strict=True)
    for start, count in sorted(set(runs)):
        reached = _reached(core, entries, start, count)
        if len(set(reached)) != len(reached):
            raise AssembleError(_where(core), f"destinations {start}..{start + count} overlap")


def _reached(
    core: CoreImage, entries: Entries, start: int, count: int
) -> list[tuple[int, int, int]]:
    """Column, row and axon of all that a run of destinations reaches."""
    stop = start + count
    if stop > len(entries):
        raise AssembleError(_where(core), f"a run ends at destination {stop} of {len(entries)}")
    return [
        (x, y, axon)
        for x0, y0, x1, y1, axon in entries[start:stop].tolist()
        for x, y in nodes_of((x0, y0, x1, y1))
    ]


def _check_balance(program: Program, tokens: dict[str, Counter[Node]]) -> None:
    for core in program.cores:
        for register, name in ((Control.N_SOURCES, "end"), (Control.N_DESTINATIONS, "credit")):
            want, got = _control(core, register), tokens[name][core.x, core.y]
            if want != got or want == 0:
                raise AssembleError(_where(core), f"{register.name} is {want}, {got} tokens arrive")
    at_host = {name: counts[HOST] for name, counts in tokens.items()}
    if at_host != {"end": program.output_ends, "credit": program.input_credits}:
        raise AssembleError(
            "host",
            f"awaits {program.output_ends} ENDs, {program.input_credits} CREDITs, gets {at_host}",
        )
