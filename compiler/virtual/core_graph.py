# SPDX-License-Identifier: Apache-2.0
"""Who sends what to whom, read from the memory images of a program.

Cores count in the program's order; ``HOST_NUMBER`` stands for the host.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import unpack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node, Rectangle

from ..mapping.rectangles import nodes_of

HOST_NUMBER = -1
Target = tuple[int, int]  # core (or the host), axon there


@dataclass(frozen=True)
class WordRun:
    """Activation words of a core that have the same destinations.

    words : indices of the words, in the order in which they fire
    targets : where each of their spikes goes
    """

    words: NDArray[np.int64]
    targets: frozenset[Target]

    @property
    def cores(self) -> frozenset[int]:
        """The cores (or the host) among the targets."""
        return frozenset(core for core, _ in self.targets)


@dataclass(frozen=True)
class CoreLinks:
    """What one core sends.

    block, y, x : coordinates of its activation words
    runs : all of the words
    ends, credits : cores (or the host) that its END and CREDIT tokens go to; ``credits`` are its
        sources
    """

    block: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    runs: tuple[WordRun, ...]
    ends: frozenset[int]
    credits: frozenset[int]


class CoreGraph:
    """The cores of a program as a graph.

    Attributes
    ----------
    cores : list of CoreLinks
    order : list of int
        All cores, sources before their destinations; cores of a layer next to each other.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._formats = Formats(program.params)
        self._index = {(core.x, core.y): i for i, core in enumerate(program.cores)}
        self.cores = [self._links(image) for image in program.cores]
        rank = {info.population.name: i for i, info in enumerate(program.layers)}
        self.order = sorted(
            range(len(self.cores)), key=lambda number: (rank[program.cores[number].layer], number)
        )

    def reached(self, rectangle: Rectangle) -> list[int]:
        """Cores (or the host) in a rectangle of nodes."""
        if rectangle == (*HOST, *HOST):
            return [HOST_NUMBER]
        return [self._index[node] for node in nodes_of(rectangle)]

    def node(self, number: int) -> Node:
        """Where a core is in the whole program."""
        core = self.program.cores[number]
        return core.x, core.y

    def _links(self, image: CoreImage) -> CoreLinks:
        formats, control = self._formats, image.memories[Memory.CONTROL]
        table = unpack_words(formats.destination, image.memories[Memory.DESTINATION])
        entries = [
            ((x0, y0, x1, y1), axon)
            for x0, y0, x1, y1, axon in zip(
                *(table[name].tolist() for name in ("x0", "y0", "x1", "y1", "axon")), strict=True
            )
        ]

        def tokens(register: Control) -> frozenset[int]:
            run = formats.token_list.unpack(int(control[register].item()))
            chosen = entries[run["start"] : run["start"] + run["count"]]
            return frozenset(core for nodes, _ in chosen for core in self.reached(nodes))

        n_fire = int(control[Control.N_FIRE].item())
        fire = unpack_words(formats.fire, image.memories[Memory.FIRE][:n_fire])
        pairs, which = np.unique(
            np.stack([fire["start"], fire["count"]], axis=1), axis=0, return_inverse=True
        )
        runs = tuple(
            WordRun(
                np.flatnonzero(which.reshape(-1) == number),
                frozenset(
                    (core, axon)
                    for nodes, axon in entries[start : start + count]
                    for core in self.reached(nodes)
                ),
            )
            for number, (start, count) in enumerate(pairs.tolist())
        )
        return CoreLinks(
            fire["block"],
            fire["y"],
            fire["x"],
            runs,
            tokens(Control.END_LIST),
            tokens(Control.CREDIT_LIST),
        )
