# SPDX-License-Identifier: Apache-2.0
"""Which spikes every axon of a program may get: the union of what its sources can send there."""

from collections import defaultdict
from collections.abc import Iterator

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import join_chunks
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Node, Rectangle
from stemcore.golden.spec.spike_range import MARGINS, margins_of

Last = dict[str, int]  # the largest value of each of MARGINS
Axon = tuple[Node, int]


def spike_ranges(program: Program) -> dict[Node, list[int]]:
    """For every core a word of ``Formats.range`` for each axon that a spike can name."""
    last: dict[Axon, Last] = {}
    cores = {(core.x, core.y) for core in program.cores}
    for nodes, axon, sent in (*_from_host(program), *_from_cores(program)):
        x0, y0, x1, y1 = nodes
        for node in cores:
            if not (x0 <= node[0] <= x1 and y0 <= node[1] <= y1):
                continue
            known = last.setdefault((node, axon), dict.fromkeys(MARGINS, 0))
            last[node, axon] = {name: max(known[name], sent[name]) for name in MARGINS}
    formats, axons = Formats(program.params), range(1 << program.params.axon_width)
    return {
        node: [
            formats.range.pack(**margins_of(program.params, last.get((node, axon))))
            for axon in axons
        ]
        for node in sorted(cores)
    }


def _from_host(program: Program) -> Iterator[tuple[Rectangle, int, Last]]:
    channels, bits = program.input.shape[0], program.input.bits
    for route in program.input_routes:
        last = {"c": channels - 1, "y": route.rows[1], "x": route.columns[1], "t": bits - 1}
        yield route.nodes, route.axon, last


def _from_cores(program: Program) -> Iterator[tuple[Rectangle, int, Last]]:
    populations = {layer.population.name: layer.population for layer in program.layers}
    for core in program.cores:
        yield from _from_core(program, core, populations[core.layer])


def _from_core(
    program: Program, core: CoreImage, population: Population
) -> Iterator[tuple[Rectangle, int, Last]]:
    """What a core's tables send where: each entry of its destinations, with the words behind it."""
    formats = Formats(program.params)
    n_fire = int(core.memories[Memory.CONTROL][Control.N_FIRE].item())
    lanes, channels = program.params.lanes, population.shape[0]
    found: dict[int, Last] = defaultdict(lambda: dict.fromkeys(MARGINS, 0))
    for word in join_chunks(core.memories[Memory.FIRE][:n_fire]):
        fire = formats.fire.unpack(word)
        sent = {
            "c": min(fire["block"] * lanes + lanes, channels) - 1,
            "y": fire["y"],
            "x": fire["x"],
            "t": population.bits - 1,
        }
        for entry in range(fire["start"], fire["start"] + fire["count"]):
            known = found[entry]
            found[entry] = {name: max(known[name], sent[name]) for name in MARGINS}
    destinations = join_chunks(core.memories[Memory.DESTINATION])
    for entry, last in found.items():
        fields = formats.destination.unpack(destinations[entry])
        nodes = (fields["x0"], fields["y0"], fields["x1"], fields["y1"])
        yield nodes, fields["axon"], last
