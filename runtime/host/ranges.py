# SPDX-License-Identifier: Apache-2.0
"""Which spikes every axon of a program may get: the union of what its sources can send there."""

import itertools
from collections.abc import Iterator

import numpy as np

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import join_chunks, unpack_words
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
    for (x0, y0, x1, y1), axon, sent in (*_from_host(program), *_from_cores(program)):
        for node in itertools.product(range(x0, x1 + 1), range(y0, y1 + 1)):
            if node in cores:
                last[node, axon] = _larger(last.get((node, axon)), sent)
    formats, axons = Formats(program.params), range(1 << program.params.axon_width)
    return {
        node: [
            formats.range.pack(**margins_of(program.params, last.get((node, axon))))
            for axon in axons
        ]
        for node in sorted(cores)
    }


def _from_host(program: Program) -> Iterator[tuple[Rectangle, int, Last]]:
    for route in program.input_routes:
        source = program.inputs[route.population]
        channels = np.flatnonzero(route.neurons(source.shape[0]).any(axis=(1, 2)))
        last = {
            "c": int(channels.max(initial=0)),
            "y": route.rows[1],
            "x": route.columns[1],
            "t": source.bits - 1,
        }
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
    words = unpack_words(formats.fire, core.memories[Memory.FIRE][:n_fire])
    found: dict[int, Last] = {}
    # Words share a few runs of destination entries.
    runs, run_of = np.unique(
        np.stack([words["start"], words["count"]], axis=1), axis=0, return_inverse=True
    )
    for number, (start, count) in enumerate(runs.tolist()):
        most = {
            name: int(words[name][run_of.ravel() == number].max()) for name in ("block", "y", "x")
        }
        sent = {
            "c": min((most["block"] + 1) * lanes, channels) - 1,
            "y": most["y"],
            "x": most["x"],
            "t": population.bits - 1,
        }
        for entry in range(start, start + count):
            found[entry] = _larger(found.get(entry), sent)
    destinations = join_chunks(core.memories[Memory.DESTINATION])
    for entry, last in found.items():
        fields = formats.destination.unpack(destinations[entry])
        nodes = (fields["x0"], fields["y0"], fields["x1"], fields["y1"])
        yield nodes, fields["axon"], last


def _larger(a: Last | None, b: Last) -> Last:
    return b if a is None else {name: max(a[name], b[name]) for name in MARGINS}
