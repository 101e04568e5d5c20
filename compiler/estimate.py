# SPDX-License-Identifier: Apache-2.0
"""Cycles, operations and link loads of a program, before any of it is simulated.

Counts are exact where the activity is: they follow from the memory images. Times rest on the
formulas of :mod:`compiler.timing` and leave congestion in the mesh out.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.fields import Control, Formats, Memory
from golden.network import INPUT
from golden.params import ChipParams
from golden.program import HOST, CoreImage, Program
from golden.routing import tree
from golden.words import unpack_words

from .activity import Activity, population_maps
from .timing import EXCHANGE_CYCLES, HOP_CYCLES, fire_cycles, sweep_cycles

Node = tuple[int, int]
Link = tuple[Node, Node]
Array = NDArray[np.int64]


@dataclass(frozen=True)
class CoreEstimate:
    """One core, per image.

    ``operations`` are dendrite cycles, ``sops`` weights added, ``packets`` spikes sent (one for
    each destination entry); ``accumulate``, ``sweep`` and ``fire`` are cycles of the three phases.
    """

    x: int
    y: int
    layer: str
    spikes_in: float
    operations: float
    sops: float
    fired: float
    packets: float
    accumulate: float
    sweep: float
    fire: float

    @property
    def busy(self) -> float:
        """Cycles that the core needs for an image: accumulating and firing overlap."""
        return max(self.accumulate, self.fire) + self.sweep


@dataclass(frozen=True)
class Estimate:
    """A program, per image.

    Attributes
    ----------
    cores : tuple of CoreEstimate
        In the program's order.
    interval, latency : float
        Cycles between images when they follow each other, and from the first spike of an image to
        the END of its output in an idle chip.
    input_packets, output_packets : float
        Spikes between host and mesh.
    links : mapping
        Spikes that cross each link ((x, y), (x, y)), HOST among the nodes.
    """

    cores: tuple[CoreEstimate, ...]
    interval: float
    latency: float
    input_packets: float
    output_packets: float
    links: Mapping[Link, float]

    @property
    def busiest_core(self) -> CoreEstimate:
        """The core that needs the most cycles for an image."""
        return max(self.cores, key=lambda core: core.busy)

    @property
    def busiest_link(self) -> tuple[Link, float]:
        """The link that most spikes cross, and how many."""
        return max(self.links.items(), key=lambda item: (item[1], item[0]))

    @property
    def sops(self) -> float:
        """Weights added for spikes."""
        return sum(core.sops for core in self.cores)


class _Core:
    """Decoded parts of an image: what a spike costs here, and where this core's spikes go."""

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
        self.n_sweeps = 1  # per image
        if params.is_stepped:
            register = self.control[Control.INTEGRATION]
            self.n_sweeps = formats.integration.unpack(register)["steps"]
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


def estimate(program: Program, activity: Activity | None = None) -> Estimate:
    """What ``program`` takes per image, given the spikes of every population.

    ``activity`` is that of :mod:`compiler.activity`: measured averages, or the spikes of one image.
    """
    populations = [program.input, *(info.population for info in program.layers)]
    names = [INPUT, *(info.population.name for info in program.layers)]
    shapes = {name: p.shape for name, p in zip(names, populations, strict=True)}
    flows = _Flows(program, population_maps(shapes, activity))
    return flows.estimate()


class _Flows:
    """Spikes between cores; the host is core ``len(cores)``."""

    def __init__(self, program: Program, spikes: Mapping[str, NDArray[np.float64]]) -> None:
        self.program = program
        self.images = program.cores
        self.cores = [_Core(image, program.params) for image in program.cores]
        self.host = len(self.cores)
        self.index = {(image.x, image.y): i for i, image in enumerate(program.cores)}
        self.index[HOST] = self.host
        self.links: defaultdict[Link, float] = defaultdict(float)
        self.operations: defaultdict[tuple[int, int], float] = defaultdict(float)
        self.sops = np.zeros(self.host + 1)
        self.spikes_in = np.zeros(self.host + 1)
        self.packets = np.zeros(self.host + 1)
        self.fired = np.zeros(self.host + 1)
        self._send_input(spikes[INPUT])
        for number in range(self.host):
            self._send(number, spikes[program.cores[number].layer])
        self.ends = self._ends()

    def _send_input(self, spikes: NDArray[np.float64]) -> None:
        for route in self.program.input_routes:
            c, y, x = np.meshgrid(
                np.arange(spikes.shape[0]), np.arange(route.rows[0], route.rows[1] + 1),
                np.arange(route.columns[0], route.columns[1] + 1), indexing="ij",
            )  # fmt: skip
            self._deliver(self.host, (*route.nodes, route.axon), spikes[c, y, x], c, y, x)
        self.fired[self.host] = spikes.sum()

    def _send(self, number: int, spikes: NDArray[np.float64]) -> None:
        core, lanes = self.cores[number], self.program.params.lanes
        padded = np.pad(spikes, ((0, -len(spikes) % lanes), (0, 0), (0, 0)))
        fire = core.fire
        c = fire["block"][:, None] * lanes + np.arange(lanes)
        y, x = fire["y"][:, None], fire["x"][:, None]
        fired = padded[c, y, x]
        self.fired[number] = fired.sum()
        runs, which = np.unique(
            np.stack([fire["start"], fire["count"]], axis=1), axis=0, return_inverse=True
        )
        for run, (start, count) in enumerate(runs):
            chosen = which.reshape(-1) == run
            for entry in core.destinations[start : start + count]:
                self._deliver(number, entry, fired[chosen], c[chosen], y[chosen], x[chosen])

    def _deliver(
        self, source: int, entry: "Array | tuple[int, ...]", spikes: NDArray[np.float64],
        c: Array, y: Array, x: Array,
    ) -> None:  # fmt: skip
        x0, y0, x1, y1, axon = (int(value) for value in entry)
        total = float(spikes.sum())
        self.packets[source] += total
        path = tree(self._node(source), (x0, y0, x1, y1))
        for link in path.links:
            self.links[link] += total
        for node in path.hops:
            target = self.index[node]
            self.spikes_in[target] += total
            if target != self.host:
                operations, sops = self.cores[target].costs(axon, c, y, x)
                self.operations[source, target] += float((spikes * operations).sum())
                self.sops[target] += float((spikes * sops).sum())

    def _node(self, number: int) -> Node:
        if number == self.host:
            return HOST
        return self.images[number].x, self.images[number].y

    def _ends(self) -> list[list[tuple[int, int]]]:
        """For each core and the host: (core or host, hops) that its END goes to."""
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
            hops = tree(self._node(number), (x0, y0, x1, y1)).hops
            found += [(self.index[node], n) for node, n in hops.items()]
        return found

    def estimate(self) -> Estimate:
        """Everything together."""
        params = self.program.params
        received = np.zeros(self.host + 1)
        for (_, target), operations in self.operations.items():
            received[target] += operations
        cores = []
        for number, (image, core) in enumerate(zip(self.images, self.cores, strict=True)):
            bits = Formats(params).mode.unpack(core.control[Control.MODE])["bits"]
            sweep = core.n_sweeps * sweep_cycles(params, core.control[Control.N_SWEEP])
            cores.append(
                CoreEstimate(
                    image.x, image.y, image.layer, float(self.spikes_in[number]),
                    float(received[number]), float(self.sops[number]), float(self.fired[number]),
                    float(self.packets[number]), float(received[number]),
                    float(sweep),
                    float(fire_cycles(bits, core.control[Control.N_FIRE], self.packets[number])),
                )
            )  # fmt: skip
        interval, latency = self._schedule(cores)
        return Estimate(
            tuple(cores), interval, latency, float(self.packets[self.host]),
            float(self.spikes_in[self.host]), dict(sorted(self.links.items())),
        )  # fmt: skip

    def _between_steps(self, core: CoreEstimate, number: int) -> float:
        """Cycles of an image in which a core's sources wait for it between time steps."""
        n = self.cores[number].n_sweeps
        return (n - 1) * (core.sweep / n + 2 * EXCHANGE_CYCLES)

    def _schedule(self, cores: list[CoreEstimate]) -> tuple[float, float]:
        """Interval and latency from the exchange of tokens.

        A core sweeps when all its sources have fired and it has fired the image before; it fires
        when it has swept and all its destinations have swept the image before; firing takes as
        long as its own packets, or as the slowest destination needs for all spikes of the layer.
        Where tokens stand for time steps, all but the last of the slowest destination's sweeps, and
        the exchanges before them, come in between.
        """
        layer = [image.layer for image in self.images] + [""]
        rank = {info.population.name: i for i, info in enumerate(self.program.layers)}
        order = [self.host, *sorted(range(self.host), key=lambda n: rank[layer[n]])]
        share: defaultdict[tuple[str, int], float] = defaultdict(float)
        for (source, target), operations in self.operations.items():
            share[layer[source], target] += operations
        duration = np.zeros(self.host + 1)
        for source in order:
            own = self.packets[self.host] if source == self.host else cores[source].fire
            duration[source] = max([own, *(share[layer[source], t] for t, _ in self.ends[source])])
            targets = [t for t, _ in self.ends[source] if t != self.host]
            between = [self._between_steps(cores[t], t) for t in targets]
            duration[source] += max(between, default=0.0)

        n_images = 2 * len(self.program.layers) + 8
        finished = []
        swept, fired = np.zeros(self.host + 1), np.zeros(self.host + 1)
        for _ in range(n_images):
            ready, granted = np.zeros(self.host + 1), swept.copy()
            for number in order:
                if number != self.host:
                    begin = max(ready[number], fired[number])
                    swept[number] = begin + cores[number].sweep / self.cores[number].n_sweeps
                targets = [t for t, _ in self.ends[number] if t != self.host]
                credit = max((granted[t] for t in targets), default=0.0)
                start = max(fired[number], credit, 0.0 if number == self.host else swept[number])
                fired[number] = start + duration[number]
                for target, hops in self.ends[number]:
                    arrival = fired[number] + hops * HOP_CYCLES + EXCHANGE_CYCLES
                    ready[target] = max(ready[target], arrival)
            finished.append(float(ready[self.host]))
        half = n_images // 2
        return (finished[-1] - finished[half - 1]) / (n_images - half), finished[0]
