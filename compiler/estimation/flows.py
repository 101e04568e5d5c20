# SPDX-License-Identifier: Apache-2.0
"""Loads that spikes cause in a program: operations in cores, packets, traffic on links.

They follow from the memory images, and are exact where the spikes are.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.program.words import unpack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node, tree

Link = tuple[Node, Node]
Array = NDArray[np.int64]
Spikes = Mapping[str, NDArray[np.float64]]  # arrays (C, H, W) by population


@dataclass
class Loads:
    """Loads of cores and links for one image, or for an average one.

    Arrays have an element for each core in the program's order, the host last.

    Attributes
    ----------
    operations : by (source, target)
        Dendrite cycles at a target for the spikes of a source.
    sops, spikes_in, packets, fired : float arrays
        Weights added; spikes that arrive; spikes sent, once for each destination entry; spikes of
        the core's neurons.
    links : by link
        Spikes that cross it.
    """

    operations: defaultdict[tuple[int, int], float]
    sops: NDArray[np.float64]
    spikes_in: NDArray[np.float64]
    packets: NDArray[np.float64]
    fired: NDArray[np.float64]
    links: defaultdict[Link, float] = field(default_factory=lambda: defaultdict(float))

    def received(self) -> NDArray[np.float64]:
        """Operations of every core."""
        total = np.zeros_like(self.sops)
        for (_, target), operations in self.operations.items():
            total[target] += operations
        return total


class Flows:
    """Where the spikes and tokens of a program's cores go; the host counts as core number ``host``.

    Attributes
    ----------
    layers : list of str
        Layer of every core; empty for the host.
    order : list of int
        The host, then the cores, sources before their destinations.
    ends : per core and the host, list of (core or host, hops)
        That its END goes to.
    index : by node (x, y)
        The core there, or the host.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.images = program.cores
        self.cores = [_Core(image, program.params) for image in program.cores]
        self.host = len(self.cores)
        self.layers = [*(image.layer for image in self.images), ""]
        self.index = {(image.x, image.y): i for i, image in enumerate(program.cores)}
        self.index[HOST] = self.host
        rank = {info.population.name: i for i, info in enumerate(program.layers)}
        cores = sorted(range(self.host), key=lambda n: rank[self.layers[n]])
        self.order = [self.host, *cores]
        self.ends = self._ends()

    def register(self, core: int, register: Control) -> int:
        """A control register of a core."""
        return self.cores[core].control[register]

    def bits(self, core: int) -> int:
        """Time steps that a core fires."""
        return Formats(self.program.params).mode.unpack(self.register(core, Control.MODE))["bits"]

    def n_updates(self, core: int) -> int:
        """Update passes of a core's soma in an image: one for each token period."""
        params = self.program.params
        register = self.register(core, Control.INTEGRATION) if params.model.register else 0
        return params.model.n_periods(Formats(params).integration.unpack(register))

    def loads(self, spikes: Spikes) -> Loads:
        """Loads of these spikes: expected ones (C, H, W) for every population."""
        loads = Loads(defaultdict(float), *np.zeros((4, self.host + 1)))
        self._send_inputs(loads, [spikes[name] for name in self.inputs])
        for number in range(self.host):
            self._send(loads, number, spikes[self.layers[number]])
        return loads

    @property
    def inputs(self) -> list[str]:
        """Names of the populations that the host sends; the network's input is ``INPUT``."""
        first = self.program.input.name if self.program.is_part else INPUT
        return [first, *(population.name for population in self.program.replayed)]

    def _send_inputs(self, loads: Loads, spikes: list[NDArray[np.float64]]) -> None:
        for route in self.program.input_routes:
            sent = spikes[route.population]
            c, y, x = np.nonzero(route.neurons(len(sent)))
            y, x = y + route.rows[0], x + route.columns[0]
            self._deliver(loads, self.host, (*route.nodes, route.axon), sent[c, y, x], c, y, x)
        loads.fired[self.host] = sum(sent.sum() for sent in spikes)

    def _send(self, loads: Loads, number: int, spikes: NDArray[np.float64]) -> None:
        core, lanes = self.cores[number], self.program.params.lanes
        padded = np.pad(spikes, ((0, -len(spikes) % lanes), (0, 0), (0, 0)))
        fire = core.fire
        c = fire["block"][:, None] * lanes + np.arange(lanes)
        y, x = fire["y"][:, None], fire["x"][:, None]
        fired = padded[c, y, x]
        loads.fired[number] = fired.sum()
        for chosen, entry in self.destinations(number):
            self._deliver(loads, number, entry, fired[chosen], c[chosen], y[chosen], x[chosen])

    def _deliver(
        self,
        loads: Loads,
        source: int,
        entry: "Array | tuple[int, ...]",
        spikes: NDArray[np.float64],
        c: Array,
        y: Array,
        x: Array,
    ) -> None:
        x0, y0, x1, y1, axon = (int(value) for value in entry)
        total = float(spikes.sum())
        loads.packets[source] += total
        route = tree(self.node(source), (x0, y0, x1, y1))
        for link in route.links:
            loads.links[link] += total
        for node in route.hops:
            target = self.index[node]
            loads.spikes_in[target] += total
            if target != self.host:
                operations, sops = self.cores[target].costs(axon, c, y, x)
                loads.operations[source, target] += float((spikes * operations).sum())
                loads.sops[target] += float((spikes * sops).sum())

    def destinations(self, number: int) -> Iterator[tuple[NDArray[np.bool_], Array]]:
        """Destination entries of a core, each with the activation words that are sent to it."""
        core = self.cores[number]
        runs, which = np.unique(
            np.stack([core.fire["start"], core.fire["count"]], axis=1), axis=0, return_inverse=True
        )
        for run, (start, count) in enumerate(runs):
            chosen = which.reshape(-1) == run
            for entry in core.destinations[start : start + count]:
                yield chosen, entry

    def node(self, number: int) -> Node:
        """Where a core, or the host, is."""
        if number == self.host:
            return HOST
        return self.images[number].x, self.images[number].y

    def _ends(self) -> list[list[tuple[int, int]]]:
        formats = Formats(self.program.params)
        ends = []
        for number, core in enumerate(self.cores):
            run = formats.token_list.unpack(core.control[Control.END_LIST])
            entries = core.destinations[run["start"] : run["start"] + run["count"], :4]
            ends.append(self._reached(number, [tuple(map(int, entry)) for entry in entries]))
        return [*ends, self._reached(self.host, list(self.program.input_end))]

    def _reached(self, number: int, rectangles: list[tuple[int, ...]]) -> list[tuple[int, int]]:
        found = []
        for x0, y0, x1, y1 in rectangles:
            hops = tree(self.node(number), (x0, y0, x1, y1)).hops
            found += [(self.index[node], n) for node, n in hops.items()]
        return found


class _Core:
    """Decoded memory image of a core: what a spike costs in it, and where its own spikes go."""

    def __init__(self, image: CoreImage, params: ChipParams) -> None:
        formats = Formats(params)

        def words(memory: Memory) -> dict[str, Array]:
            layout, _ = formats.memory(memory)
            assert layout is not None
            return unpack_words(layout, image.memories[memory])

        self.axons = words(Memory.AXON)
        self.counts = {
            name: _padded(words(memory)["count"], depth)
            for name, memory, depth in (
                ("c", Memory.TABLE_C, params.n_table_c),
                ("y", Memory.TABLE_Y, params.n_table_y),
                ("x", Memory.TABLE_X, params.n_table_x),
            )
        }
        self.fire = words(Memory.FIRE)
        table = words(Memory.DESTINATION)
        self.destinations = np.stack([table[n] for n in ("x0", "y0", "x1", "y1", "axon")], axis=1)
        self.control = [int(word) for word in image.memories[Memory.CONTROL][:, 0]]
        self.lanes = params.lanes

    def costs(self, axon: int, c: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Operations and SOPs of a spike at each of these coordinates (arrays of one shape)."""
        blocks, rows, columns = (
            table[(self.axons[f"{name}_base"][axon] + at) % len(table)]
            for (name, table), at in zip(self.counts.items(), (c, y, x), strict=True)
        )
        taps = rows * columns
        last = self.axons["tail"][axon] + 1
        return taps * blocks, taps * ((blocks - 1) * self.lanes + last) * (blocks > 0)


def _padded(values: Array, depth: int) -> Array:
    return np.pad(values, (0, depth - len(values)))
