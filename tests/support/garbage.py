# SPDX-License-Identifier: Apache-2.0
"""Flits that a chip ought not to get: every kind, every field out of range, at any moment."""

from collections.abc import Callable

import numpy as np

from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.registers import N_CONTROL, N_WRITABLE, RANGES, Control
from stemcore.golden.spec.routing import HOST, Rectangle
from stemcore.golden.spec.spike_range import MARGINS, limit_of
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.ranges import spike_ranges
from tests.support.garbage_bursts import BURSTS
from tests.support.garbage_chip import Chip


def beyond_a_margin(chip: Chip) -> list[int]:
    """Spikes of neurons and time steps that no source of a core has, of any of its axons."""
    params, flits = chip.program.params, []
    widths = dict(chip.formats.spike.widths)
    axon = chip.below(params.n_axons)
    words = [words[axon] for words in spike_ranges(chip.program).values()]
    margins = [chip.formats.range.unpack(word) for word in words]
    for name in MARGINS:
        limit = 1 << limit_of(params, name).width
        first = max(limit - margin[name] for margin in margins)
        if first < 1 << widths[name]:
            value = first + chip.below((1 << widths[name]) - first)
            flits.append(chip.flit(Kind.SPIKE, chip.spike(axon=axon, **{name: value})))
    return flits


def closed_axon(chip: Chip) -> list[int]:
    """Spikes of axons that no core listens to; a late time step where all listen."""
    closed = set(range(chip.program.params.n_axons))
    for words in spike_ranges(chip.program).values():
        closed -= {
            n for n, word in enumerate(words) if not chip.formats.range.unpack(word)["t"] & 8
        }
    axon = chip.pick(sorted(closed) or [0])
    return [chip.flit(Kind.SPIKE, chip.spike(axon=axon, t=0 if closed else 8))] * 3


def high_bits(kind: Kind, low: int) -> Callable[[Chip], list[int]]:
    """A payload with bits from ``low`` on that the kind does not use."""

    def make(chip: Chip) -> list[int]:
        width = chip.formats.payload_width
        return [chip.flit(kind, 1 << (low + chip.below(width - low)))]

    return make


def random_words(chip: Chip) -> list[int]:
    """Any bits at all, but those of a spike or token that could be due."""
    flits = []
    while len(flits) < 6:
        word = int(chip.rng.integers(1 << 62)) & ((1 << chip.formats.flit.width) - 1)
        fields = chip.formats.flit.unpack(word)
        spike = chip.formats.spike.unpack(fields["payload"] & ((1 << chip.formats.spike.width) - 1))
        if fields["kind"] == Kind.SPIKE and spike["t"] < 8:
            continue
        if fields["kind"] != Kind.ADDRESS:
            flits.append(word)
    return flits


def _tables(chip: Chip) -> int:
    return chip.pick([memory for memory in Memory if memory is not Memory.CONTROL])


def _depth(chip: Chip, memory: int) -> int:
    return chip.formats.memory(Memory(memory))[1]


def write_beyond(chip: Chip) -> list[int]:
    """Past the last word of a memory."""
    memory = _tables(chip)
    address = _depth(chip, memory) + chip.below(100)
    return chip.access(memory, address, data=[chip.below(1 << 32) for _ in range(4)])


def far_nodes(chip: Chip) -> Rectangle:
    """A rectangle that reaches beyond the mesh."""
    x, y = chip.program.columns + chip.below(2), chip.program.rows + 1 + chip.below(2)
    x0, y0 = chip.below(chip.program.columns), 1 + chip.below(chip.program.rows)
    return ((x0, y0, x, y0), (x0, y0, x0, y), (x, y, x, y), (0, 1, x, y))[chip.below(4)]


def to_far(kind: Kind) -> Callable[[Chip], list[int]]:
    """A flit of this kind whose destination lies outside; what it says is an error anywhere."""
    return lambda chip: (
        [chip.flit(kind, chip.spike(t=8) if kind is Kind.SPIKE else 0, far_nodes(chip))] * 5
    )


KINDS: dict[str, Callable[[Chip], list[int]]] = {
    "spike beyond a margin": beyond_a_margin,
    "spike of a closed axon": closed_axon,
    "spike of a late time step": lambda chip: [
        chip.flit(Kind.SPIKE, chip.spike(axon=chip.below(4), t=8 + chip.below(8)))
    ],
    "many spikes of a late time step": lambda chip: [chip.flit(Kind.SPIKE, chip.spike(t=9))] * 40,
    "END": lambda chip: [chip.flit(Kind.END)],
    "many ENDs": lambda chip: [chip.flit(Kind.END)] * 20,
    "CREDIT": lambda chip: [chip.flit(Kind.CREDIT)],
    "many CREDITs": lambda chip: [chip.flit(Kind.CREDIT)] * 20,
    "PACE to hold": lambda chip: [chip.flit(Kind.PACE, chip.spike(t=1))],
    "many PACEs to hold": lambda chip: [chip.flit(Kind.PACE, chip.spike(t=1))] * 80,
    "PACE to go on": lambda chip: [chip.flit(Kind.PACE)],
    "many PACEs to go on": lambda chip: [chip.flit(Kind.PACE)] * 20,
    "PACE of two bits": lambda chip: [chip.flit(Kind.PACE, chip.spike(t=3))],
    "DATA": lambda chip: [chip.flit(Kind.DATA, chip.below(1 << 20))] * 3,
    "END with a payload": high_bits(Kind.END, 0),
    "CREDIT with a payload": high_bits(Kind.CREDIT, 0),
    "READ with a payload": high_bits(Kind.READ, 0),
    "PACE with high bits": high_bits(Kind.PACE, 25),
    "ADDRESS with high bits": high_bits(Kind.ADDRESS, 25),
    "WRITE beyond a memory": write_beyond,
    "WRITE of a table at work": lambda chip: chip.access(
        memory := _tables(chip),
        chip.below(_depth(chip, memory)),
        data=[chip.below(1 << 32) for _ in range(3)],
    ),
    "WRITE of a register at work": lambda chip: chip.access(
        Memory.CONTROL, chip.below(Control.COMMAND), data=[chip.below(1 << 32)]
    ),
    "WRITE of a read-only register": lambda chip: chip.access(
        Memory.CONTROL,
        N_WRITABLE + chip.below(N_CONTROL - N_WRITABLE),
        data=[chip.below(1 << 32)] * 3,
    ),
    "WRITE of a range at work": lambda chip: chip.access(
        Memory.CONTROL, RANGES + chip.below(4), data=[chip.below(1 << 20)] * 2
    ),
    "WRITE of a memory that there is not": lambda chip: chip.access(
        11 + chip.below(5), chip.below(100), data=[chip.below(1 << 32)] * 3
    ),
    "WRITE of a chunk that there is not": lambda chip: chip.access(
        _tables(chip), 0, chunk=9 + chip.below(20), data=[chip.below(1 << 32)] * 3
    ),
    "unknown command": lambda chip: chip.access(
        Memory.CONTROL, Control.COMMAND, data=[1 << (4 + chip.below(28))]
    ),
    "START of a core that runs": lambda chip: chip.access(
        Memory.CONTROL, Control.COMMAND, data=[1]
    ),
    "READ of a memory at work": lambda chip: chip.asks(
        memory := _tables(chip), chip.below(_depth(chip, memory)), 3
    ),
    "READ beyond a memory": lambda chip: chip.asks(Memory.CONTROL, N_CONTROL + chip.below(900)),
    "READs without waiting": lambda chip: chip.asks(Memory.CONTROL, Control.FLAGS, 12),
    "STOP of some cores": lambda chip: chip.access(Memory.CONTROL, Control.COMMAND, data=[4]),
    "SPIKE to nowhere": to_far(Kind.SPIKE),
    "DATA to nowhere": to_far(Kind.DATA),
    "ADDRESS to nowhere": to_far(Kind.ADDRESS),
    "inverted rectangle": lambda chip: [chip.flit(Kind.END, nodes=(1, 2, 0, 1))] * 3,
    "from the host to itself": lambda chip: [chip.flit(Kind.END, nodes=(*HOST, *HOST))] * 3,
    "row of the host": lambda chip: [chip.flit(Kind.DATA, nodes=(1, 0, 1, 0))] * 3,
    "random words": random_words,
    **BURSTS,
}


def garbage(kind: str, host: Host, rng: np.random.Generator, nodes: Rectangle) -> np.ndarray:
    """Flits of a kind, one of ``KINDS``."""
    flits = KINDS[kind](Chip(host.program, rng, nodes))
    return np.array(flits, np.uint64)
