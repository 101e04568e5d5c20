# SPDX-License-Identifier: Apache-2.0
"""Flits that are wrong by what stands next to them: bursts, interrupted accesses, storms."""

from collections.abc import Callable
from itertools import chain

from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.registers import N_CONTROL, Control
from stemcore.golden.spec.routing import HOST, Rectangle
from tests.support.garbage_chip import Chip

START, STOP, CLEAR_ERRORS = 1, 4, 8  # bits of COMMAND
LAST_ADDRESS = (1 << 16) - 1  # behind it the pointer begins anew


def _command(chip: Chip, *words: int) -> list[int]:
    """WRITEs of COMMAND, each with an ADDRESS of its own: the pointer moves on."""
    writes = (chip.access(Memory.CONTROL, Control.COMMAND, data=[word]) for word in words)
    return list(chain.from_iterable(writes))


def _everywhere(chip: Chip) -> Chip:
    """The same for all nodes."""
    return Chip(chip.program, chip.rng, (0, 1, chip.program.columns - 1, chip.program.rows))


def right_and_wrong_in_turn(chip: Chip) -> list[int]:
    """Back to back: reads that are permitted, and what is not, in any order; a wrong one last."""
    flits = []
    for _ in range(25):
        flits += chip.asks(Memory.CONTROL, chip.below(N_CONTROL)) if chip.below(2) else []
        flits.append(_wrong(chip, chip.nodes))
    return flits


def _wrong(chip: Chip, nodes: Rectangle) -> int:
    """One flit that is an error at any core in any state, of five kinds."""
    top = 1 << (chip.formats.payload_width - 1)
    kind, payload = (
        (Kind.DATA, chip.below(1 << 32)),
        (Kind.END, 1),
        (Kind.SPIKE, chip.spike(axon=chip.below(4), t=8 + chip.below(8))),
        (Kind.READ, top),
        (Kind.CREDIT, top),
    )[chip.below(5)]
    return chip.flit(kind, payload, nodes)


def all_kinds_to_the_host(chip: Chip) -> list[int]:
    """From the host to itself, each kind with any payload: router (0, 1) has nowhere to send it."""
    return [chip.flit(kind, chip.below(1 << 30), (*HOST, *HOST)) for kind in Kind for _ in range(3)]


def from_the_row_of_the_host(chip: Chip) -> list[int]:
    """Rectangles that hold the host and nodes: it gets none of its own flits back, they do."""
    x1, y1 = chip.below(chip.program.columns), 1 + chip.below(chip.program.rows)
    return [_wrong(chip, (0, 0, x1, y1)) for _ in range(12)]


def beyond_the_last_address(chip: Chip, kind: Kind, n: int) -> list[int]:
    """Accesses of a memory that begin before its pointer comes back to zero, and end behind."""
    memory = chip.pick([memory for memory in Memory if memory is not Memory.CONTROL])
    pointer = chip.formats.pointer.pack(
        memory=memory, chunk=0, address=LAST_ADDRESS - chip.below(2)
    )
    words = [chip.below(1 << 32) if kind is Kind.WRITE else 0 for _ in range(n)]
    return [chip.flit(Kind.ADDRESS, pointer), *(chip.flit(kind, word) for word in words)]


def holds_and_as_many_to_go_on(chip: Chip) -> list[int]:
    """More PACEs to hold than there are nodes to send them, and what undoes them."""
    hold, go = chip.flit(Kind.PACE, chip.spike(t=1)), chip.flit(Kind.PACE)
    n = (1 << chip.program.params.token_width) + chip.below(20)
    return [hold] * n + [go] * n


def goes_on_before_each_hold(chip: Chip) -> list[int]:
    """PACEs to go on and to hold in turn; the first and the last let it go on."""
    hold, go = chip.flit(Kind.PACE, chip.spike(t=1)), chip.flit(Kind.PACE)
    return [go, *[hold, go] * 50]


def errors_cleared_between_errors(chip: Chip) -> list[int]:
    """Each error followed by ``clear_errors``, some cycles later or at once; an error last."""
    flits = []
    for n in range(20):
        flits += [_wrong(chip, chip.nodes)] * (1 + n % 3)
        flits += chip.asks(Memory.CONTROL, Control.ERRORS) * chip.below(3)
        flits += _command(chip, CLEAR_ERRORS)
    return [*flits, _wrong(chip, chip.nodes)]


def restarted_in_an_answer(chip: Chip) -> list[int]:
    """STOP while a READ is answered, and START behind it."""
    everywhere = _everywhere(chip)
    asks = everywhere.asks(Memory.CONTROL, Control.STATUS, chip.below(3))
    return [*asks, *_command(everywhere, STOP, START)]


def restarted_in_a_word(chip: Chip) -> list[int]:
    """A word of several chunks of what its memory holds, and STOP and START in the midst of it.

    What comes before STOP is refused, what comes behind START too; what lies between them is not.
    """
    core = chip.program.cores[chip.below(len(chip.program.cores))]
    one = Chip(chip.program, chip.rng, (core.x, core.y, core.x, core.y))
    several = [m for m, words in core.memories.items() if len(words) and words.shape[1:] > (1,)]
    memory = chip.pick(several)
    word = [int(part) for part in core.memories[Memory(memory)][0].ravel()]
    half = chip.below(len(word))
    return [
        *one.access(memory, 0, data=word[:half]),
        *_command(one, STOP),
        *one.access(memory, 0, chunk=half, data=word[half:]),
        *_command(one, START),
        *one.access(memory, 0, data=word),
    ]


BURSTS: dict[str, Callable[[Chip], list[int]]] = {
    "right and wrong flits in turn": right_and_wrong_in_turn,
    "READs of all nodes at once": lambda chip: _everywhere(chip).asks(
        Memory.CONTROL, Control.SOPS_LOW, 4
    ),
    "all kinds from the host to itself": all_kinds_to_the_host,
    "from the row of the host on": from_the_row_of_the_host,
    "a flood of DATA": lambda chip: [chip.flit(Kind.DATA, chip.below(1 << 32))] * 300,
    "STOP and START in one word": lambda chip: _command(chip, STOP | START),
    "WRITEs beyond the last address": lambda chip: beyond_the_last_address(chip, Kind.WRITE, 6),
    "READs beyond the last address": lambda chip: beyond_the_last_address(chip, Kind.READ, 6),
    "PACEs to hold, and as many to go on": holds_and_as_many_to_go_on,
    "PACE to go on before each to hold": goes_on_before_each_hold,
    "errors cleared between errors": errors_cleared_between_errors,
    "STOP in an answer, and START": restarted_in_an_answer,
    "STOP in a word, and START": restarted_in_a_word,
}
