# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom: from the registers STATUS of a program's cores, as the host reads them."""

from collections.abc import Iterator, Mapping

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import join_chunks
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node, Rectangle


def report(program: Program, statuses: Mapping[Node, int]) -> list[str]:
    """A line for every core that has begun something and waits for others to end it.

    statuses : words of ``Formats.status`` by node
    """
    layout = Formats(program.params).status
    names = {(core.x, core.y): f"node ({core.x}, {core.y}) {core.layer}" for core in program.cores}
    names[HOST] = "the host"
    ends, credits = _senders(program)
    lines = []
    for core in program.cores:
        node = (core.x, core.y)
        status = layout.unpack(statuses[node])
        waits = []
        for is_due, name, register, senders in (
            (status["begun"], "ends", Control.N_SOURCES, ends),
            (status["unfired"], "credits", Control.N_DESTINATIONS, credits),
        ):
            wanted = int(core.memories[Memory.CONTROL][register].item())
            if is_due and status[name] < wanted:
                whom = ", ".join(names[sender] for sender in sorted(senders[node]))
                token = "END" if name == "ends" else "CREDIT"
                waits.append(f"{status[name]} of {wanted} {token} from {whom}")
        if status["firing"] and status["held"]:
            whom = ", ".join(names[sender] for sender in sorted(credits[node]))
            waits.append(f"leave to go on from {whom}, which asked to hold spikes")
        if waits:
            lines.append(f"  {names[node]} waits: {'; '.join(waits)}")
    return lines


def _senders(program: Program) -> tuple[dict[Node, set[Node]], dict[Node, set[Node]]]:
    """For every core those that send it END, and those that send it CREDIT."""
    nodes = [(core.x, core.y) for core in program.cores]
    ends: dict[Node, set[Node]] = {node: set() for node in nodes}
    credits: dict[Node, set[Node]] = {node: set() for node in nodes}
    for rectangle in program.input_end:
        _add(ends, HOST, rectangle)
    for node in program.output_cores:
        credits[node].add(HOST)
    for core in program.cores:
        for register, receivers in (
            (Control.END_LIST, ends),
            (Control.CREDIT_LIST, credits),
        ):
            for rectangle in _entries(program, core, register):
                _add(receivers, (core.x, core.y), rectangle)
    return ends, credits


def _entries(program: Program, core: CoreImage, register: Control) -> Iterator[Rectangle]:
    formats = Formats(program.params)
    run = formats.token_list.unpack(int(core.memories[Memory.CONTROL][register].item()))
    words = join_chunks(core.memories[Memory.DESTINATION])
    for word in words[run["start"] : run["start"] + run["count"]]:
        fields = formats.destination.unpack(word)
        yield fields["x0"], fields["y0"], fields["x1"], fields["y1"]


def _add(receivers: dict[Node, set[Node]], sender: Node, rectangle: Rectangle) -> None:
    x0, y0, x1, y1 = rectangle
    for x, y in receivers:
        if x0 <= x <= x1 and y0 <= y <= y1:
            receivers[x, y].add(sender)
