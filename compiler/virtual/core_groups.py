# SPDX-License-Identifier: Apache-2.0
"""Groups of cores that are on the chip together, where it has fewer cores than the program.

Every core is loaded once for a batch of images however groups are cut; what the cut decides is the
time of an image. Cores of a group work side by side, so it takes as long as its busiest core, or as
the spikes between host and chip, whichever is longer. Cuts through the cores in their order (the
sources of a core before it, the cores of a layer next to each other) are chosen so that the sum
over all groups is the least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stemcore.golden.spec.neuron_model import TokenPeriod

from ..errors import CompileError
from .core_graph import HOST_NUMBER, CoreGraph

# Cycles of an image that every group costs beside its work: the pipeline of its cores fills and
# drains once a batch, and each image passes the host's END and CREDIT. It decides between cuts of
# equal work for fewer groups.
GROUP_CYCLES = 100.0


@dataclass(frozen=True)
class CoreWork:
    """What a core does for an image.

    busy : cycles
    sent : spikes of each of its runs of activation words (``CoreLinks.runs``)
    """

    busy: float
    sent: tuple[float, ...]


@dataclass(frozen=True)
class _Run:
    """Spikes that leave a core together; places are those of cores in the order."""

    spikes: float
    source: int
    targets: tuple[tuple[int, int], ...]  # (place, axons of this place that receive them)
    last: int  # last place that receives them; the number of cores where the host does


def group_cores(
    graph: CoreGraph, work: Sequence[CoreWork], input_spikes: float, size: int
) -> tuple[list[tuple[int, ...]], float]:
    """Groups of at most ``size`` cores each, in the order in which they run, and their cycles.

    work : of each core, in the program's order
    input_spikes : spikes of the network's input in an image

    Raises
    ------
    CompileError
        For a size below 1.
    """
    if size < 1:
        raise CompileError(
            graph.program.name, f"a chip must have 1 core or more, got {size}", "give it one"
        )
    order = graph.order
    n = len(order)
    place = {core: i for i, core in enumerate(order)}
    runs = _runs(graph, work, place)
    into: list[list[_Run]] = [[] for _ in order]
    for run in runs:
        for target, _ in run.targets:
            into[target].append(run)
    out: list[list[_Run]] = [[] for _ in order]
    for run in runs:
        out[run.source].append(run)
    from_host = [HOST_NUMBER in graph.cores[core].credits for core in order]
    best, cut = [0.0] + [float("inf")] * n, [0] * (n + 1)
    for start in range(n):
        group = _Group(graph, start, input_spikes)
        for stop in range(start + 1, min(start + size, n) + 1):
            number = stop - 1
            if not group.may_add(order, number, place):
                break
            group.add(
                number, into[number], out[number], work[order[number]].busy, from_host[number]
            )
            if group.fits() and best[start] + group.cycles < best[stop]:
                best[stop], cut[stop] = best[start] + group.cycles, start
    groups: list[tuple[int, ...]] = []
    stop = n
    while stop:
        groups.append(tuple(order[cut[stop] : stop]))
        stop = cut[stop]
    return groups[::-1], best[n]


def _runs(graph: CoreGraph, work: Sequence[CoreWork], place: dict[int, int]) -> list[_Run]:
    found = []
    for core, links in enumerate(graph.cores):
        for run, spikes in zip(links.runs, work[core].sent, strict=True):
            targets: dict[int, int] = {}
            for target, _ in run.targets:
                if target != HOST_NUMBER:
                    targets[place[target]] = targets.get(place[target], 0) + 1
            last = len(place) if HOST_NUMBER in run.cores else max(targets, default=-1)
            found.append(_Run(spikes, place[core], tuple(targets.items()), last))
    return found


class _Group:
    """Consecutive cores from place ``start`` on, core by core."""

    def __init__(self, graph: CoreGraph, start: int, input_spikes: float) -> None:
        self._graph, self._start, self._input_spikes = graph, start, input_spikes
        self._is_stepped = graph.program.params.model.token_period is TokenPeriod.TIME_STEP
        self._most_outputs = 1 << graph.program.params.axon_width
        # Runs from outside that came in, and by how many axons: the host sends each spike so often.
        self._received: dict[int, int] = {}
        self._levels: dict[int, int] = {}  # by place: cores from the host on, of cores in the group
        self._bits: set[int] = set()
        self._layers: dict[str, int] = {}  # by layer: last place that receives its spikes
        self._busy = self._into = self._out = 0.0
        self._stop = start

    def may_add(self, order: Sequence[int], place_of_next: int, place: dict[int, int]) -> bool:
        """Whether the core at the next place can be in the group, as far as tokens go.

        Where tokens stand for time steps, all sources of a core are equally far from the host, and
        all that the host sends or receives in a group has as many time steps.
        """
        if not self._is_stepped or place_of_next == self._start:
            self._note(order, place_of_next, place, 1)
            return True
        links = self._graph.cores[order[place_of_next]]
        sources = {place.get(core, -1) for core in links.credits}
        levels = {self._levels[p] if p >= self._start else 0 for p in sources}
        if len(levels) != 1:
            return False
        self._note(order, place_of_next, place, levels.pop() + 1)
        return len(self._bits) == 1

    def _note(self, order: Sequence[int], number: int, place: dict[int, int], level: int) -> None:
        self._levels[number] = level
        if not self._is_stepped:
            return
        whole = self._graph.program
        bits = {i.population.name: i.population.bits for i in whole.layers}
        self._bits.add(bits[whole.cores[order[number]].layer])
        for core in self._graph.cores[order[number]].credits:
            is_host = core == HOST_NUMBER
            self._bits.add(whole.input.bits if is_host else bits[whole.cores[core].layer])

    def add(
        self,
        number: int,
        into: Sequence[_Run],
        out: Sequence[_Run],
        busy: float,
        is_from_host: bool,
    ) -> None:
        """The core at the next place."""
        if is_from_host and HOST_NUMBER not in self._received:
            self._received[HOST_NUMBER] = 1
            self._into += self._input_spikes
        for run in into:
            if run.source < self._start:
                axons = next(n for place, n in run.targets if place == number)
                already = self._received.get(id(run), 0)
                self._received[id(run)] = max(already, axons)
                self._into += run.spikes * max(0, axons - already)
            elif run.last == number:  # its last listener is in the group with it
                self._out -= run.spikes
        for run in out:
            if run.last >= 0:
                self._out += run.spikes
        layer = self._graph.program.cores[self._graph.order[number]].layer
        last = max((run.last for run in out), default=-1)
        self._layers[layer] = max(self._layers.get(layer, -1), last)
        self._busy = max(self._busy, busy)
        self._stop = number + 1

    def fits(self) -> bool:
        """Whether axons of the host suffice: spikes to it name their layer by one."""
        leaving = sum(last >= self._stop for last in self._layers.values())
        return leaving <= self._most_outputs

    @property
    def cycles(self) -> float:
        """Of an image, about: the host's link carries a flit a cycle in each direction."""
        return max(self._busy, self._into, self._out) + GROUP_CYCLES
