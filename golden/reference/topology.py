# SPDX-License-Identifier: Apache-2.0
"""The cores of a program and who sends what to whom: spikes by destination tables, tokens by lists.

A wrong count of tokens would stop the chip or let samples run into each other, and a packet for a
node without a core would end nowhere; both are errors here.
"""

from collections import Counter, defaultdict

import numpy as np

from ..arithmetic.fixed import Int64Array
from ..network.network import Population
from ..program.program import Program
from ..spec.neuron_model import TokenPeriod
from ..spec.routing import HOST, Rectangle, tree
from .axon_plan import AxonPlan, Delivery
from .core import Core
from .host_words import HostWords, RouteNeurons

HOST_ID = -1  # source number of the host; cores count from 0 in the program's order


class Topology:
    """The cores of a program and the paths between them, checked for consistency.

    Attributes
    ----------
    cores : list of Core
    order : list of int
        Cores in an order in which every source comes before its destinations.
    spike_targets : per core, dict from (core, axon) to the indices of the activation words sent
        there; of the host the axon is that of a layer that it receives.
    hops : per core, list of (activation words, int64 (n_cores,))
        Links that a spike of these words crosses, by the core at whose node each link begins.
    input_hops : list of (neurons, int64 (n_cores,))
        The same for spikes of the host, route by route; ``neurons``: number of the population, rows
        and columns of the route, and which neurons of these it sends.
    """

    def __init__(self, program: Program):
        self.program = program
        self.cores = [Core(image, program.params) for image in program.cores]
        self._index: dict[tuple[int, int], int] = {}
        for number, core in enumerate(self.cores):
            node = (core.image.x, core.image.y)
            if not (0 <= node[0] < program.columns and 1 <= node[1] <= program.rows):
                raise core.fail(
                    f"must lie in the mesh of {program.columns} columns and rows 1..{program.rows}"
                )
            if node in self._index:
                raise core.fail("another core has the same node")
            self._index[node] = number
        self._check_layers()
        self._route()
        self._count_tokens()
        self._sort()

    def receivers(self, rectangle: Rectangle, where: str) -> list[int]:
        """Cores (or the host) in a rectangle of nodes; ``ValueError`` if a node has none."""
        x0, y0, x1, y1 = rectangle
        if rectangle == (*HOST, *HOST):
            return [HOST_ID]
        if not (0 <= x0 <= x1 < self.program.columns and 1 <= y0 <= y1 <= self.program.rows):
            raise ValueError(
                f"{where}: destination ({x0}, {y0}) to ({x1}, {y1}) must lie in the mesh of "
                f"{self.program.columns} columns and rows 1..{self.program.rows}, or be the host"
            )
        nodes = [(x, y) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)]
        missing = [node for node in nodes if node not in self._index]
        if missing:
            raise ValueError(f"{where}: packets reach node {missing[0]}, which has no core")
        return [self._index[node] for node in nodes]

    def _hops(self, source: tuple[int, int], rectangles: list[Rectangle]) -> Int64Array:
        """Links that flits from ``source`` to each rectangle cross, by the core they begin at."""
        crossed = np.zeros(len(self.cores), np.int64)
        for rectangle in rectangles:
            for node, _ in tree(source, rectangle).links:
                # Neither the host nor a node without a core has counters.
                if node in self._index:
                    crossed[self._index[node]] += 1
        return crossed

    def name(self, number: int) -> str:
        """A core, or the host, in words."""
        return "host" if number == HOST_ID else self.cores[number].where

    def _check_layers(self) -> None:
        self.populations: dict[str, Population] = {
            info.population.name: info.population for info in self.program.layers
        }
        for core in self.cores:
            population = self.populations.get(core.image.layer)
            if population is None:
                raise core.fail(f"layer must be one of {sorted(self.populations)}")
            if (core.bits, core.is_signed) != (population.bits, population.is_signed):
                raise core.fail(
                    f"MODE must say {population.bits} bits, is_signed {population.is_signed}; "
                    f"got {core.bits} bits, is_signed {core.is_signed}"
                )
        for name in self.program.output_layers:
            if name not in self.populations:
                raise ValueError(
                    f"{self.program.name}: output must be one of {sorted(self.populations)}, "
                    f"got {name!r}"
                )

    def _check_output(self, core: Core, axon: int) -> None:
        """Spikes to the host name the layer that fires them as their axon."""
        output_layers = self.program.output_layers
        if axon >= len(output_layers) or output_layers[axon] != core.image.layer:
            meant = output_layers[axon] if axon < len(output_layers) else "nothing"
            raise core.fail(
                f"spikes reach the host through axon {axon}, where it listens to {meant}"
            )

    # Spikes -------------------------------------------------------------------------------------
    def _route(self) -> None:
        # (core, axon) -> deliveries
        self.deliveries: dict[tuple[int, int], list[Delivery]] = defaultdict(list)
        self.spike_targets: list[dict[tuple[int, int], Int64Array]] = []
        self.hops: list[list[tuple[Int64Array, Int64Array]]] = []
        self._route_input()
        for number, core in enumerate(self.cores):
            words: dict[tuple[int, int], list[Int64Array]] = defaultdict(list)
            self.hops.append([])
            runs = np.unique(np.stack([core.fire_start, core.fire_count]), axis=1).T.tolist()
            for start, count in runs:
                chosen = np.flatnonzero((core.fire_start == start) & (core.fire_count == count))
                run = core.destinations[start : start + count]
                for rectangle, axon in run:
                    for target in self.receivers(rectangle, core.where):
                        if target == HOST_ID:
                            self._check_output(core, axon)
                        words[target, axon].append(chosen)
                node = (core.image.x, core.image.y)
                self.hops[-1].append((chosen, self._hops(node, [r for r, _ in run])))
            targets = {key: np.concatenate(parts) for key, parts in words.items()}
            self.spike_targets.append(targets)
            population = self.populations[core.image.layer]
            for key, sent in targets.items():
                self.deliveries[key].append(
                    Delivery(
                        number,
                        core.where,
                        core.bits,
                        core.is_signed,
                        population.shape[0],
                        core.params.lanes,
                        sent,
                        core.fire_c[sent],
                        core.fire_y[sent],
                        core.fire_x[sent],
                    )
                )
        self.plans: list[list[AxonPlan]] = [[] for _ in self.cores]
        for (target, axon), deliveries in sorted(self.deliveries.items(), key=lambda kv: kv[0]):
            if target != HOST_ID:
                self.plans[target].append(AxonPlan(self.cores[target], axon, deliveries))

    def _route_input(self) -> None:
        self.host_words = HostWords(self.program)
        self._input_targets: set[int] = set()
        self.input_hops: list[tuple[RouteNeurons, Int64Array]] = []
        for number, route in enumerate(self.program.input_routes):
            where = f"{self.program.name}, input route {number}"
            source = self.program.inputs[route.population]
            channels, height, width = source.shape
            (y0, y1), (x0, x1) = route.rows, route.columns
            if not (0 <= y0 <= y1 < height and 0 <= x0 <= x1 < width):
                raise ValueError(
                    f"{where}: rows {y0}..{y1} and columns {x0}..{x1} must lie in the input's "
                    f"{height} x {width}"
                )
            words, c, y, x = self.host_words.of(route, where)
            delivery = Delivery(
                HOST_ID,
                f"host of {source.name}",
                source.bits,
                source.is_signed,
                channels,
                self.host_words.lanes,
                words,
                c,
                y,
                x,
            )
            for target in self.receivers(route.nodes, where):
                if target == HOST_ID:
                    raise ValueError(f"{where}: must lead to cores, leads to the host")
                self._input_targets.add(target)
                self.deliveries[target, route.axon].append(delivery)
            crossed = self._hops(HOST, [route.nodes])
            self.input_hops.append((RouteNeurons(route, channels), crossed))

    # Tokens -------------------------------------------------------------------------------------
    def _tokens(self, number: int, entries: range) -> list[int]:
        core = self.cores[number]
        return [
            target
            for entry in entries
            for target in self.receivers(core.destinations[entry][0], core.where)
        ]

    def _count_tokens(self) -> None:
        program = self.program
        where = f"{program.name}, host"
        ends = {HOST_ID: [t for r in program.input_end for t in self.receivers(r, where)]}
        credits_ = {HOST_ID: [self._output_core(node) for node in program.output_cores]}
        for number, core in enumerate(self.cores):
            ends[number] = self._tokens(number, core.end_list)
            credits_[number] = self._tokens(number, core.credit_list)
        self.ends = ends
        n_ends = Counter(target for targets in ends.values() for target in targets)
        n_credits = Counter(target for targets in credits_.values() for target in targets)

        def expect(what: str, expected: int, token: str, count: int) -> None:
            if count != expected:
                raise ValueError(
                    f"{what} is {expected}, but {count} {token} tokens arrive a sample"
                )

        for number, core in enumerate(self.cores):
            expect(f"{core.where}: N_SOURCES", core.n_sources, "END", n_ends[number])
            expect(
                f"{core.where}: N_DESTINATIONS", core.n_destinations, "CREDIT", n_credits[number]
            )
        expect(f"{where}: output_ends", program.output_ends, "END", n_ends[HOST_ID])
        expect(f"{where}: input_credits", program.input_credits, "CREDIT", n_credits[HOST_ID])
        granters: dict[int, set[int]] = defaultdict(set)
        for number, receivers in credits_.items():
            for receiver in receivers:
                granters[receiver].add(number)
        for source, targets in ends.items():
            granted = granters[source]
            if set(targets) != granted:
                other = min(set(targets) ^ granted)
                raise ValueError(
                    f"{self.name(source)}: must send END exactly to those that grant it CREDIT; "
                    f"{self.name(other)} has only one of the two"
                )
            reached = (
                self._input_targets
                if source == HOST_ID
                else {target for target, _ in self.spike_targets[source]}
            )
            if not reached <= set(targets):
                raise ValueError(
                    f"{self.name(source)}: sends spikes to "
                    f"{self.name(min(reached - set(targets)))} but no END"
                )

    def _output_core(self, node: tuple[int, int]) -> int:
        if node not in self._index:
            raise ValueError(f"{self.program.name}: output_cores names {node}, which has no core")
        return self._index[node]

    def _sort(self) -> None:
        waiting = dict.fromkeys(range(len(self.cores)), 0)
        for targets in self.ends.values():
            for target in targets:
                if target != HOST_ID:
                    waiting[target] += 1
        level = {HOST_ID: 0}
        self.order: list[int] = []
        ready = [HOST_ID, *(k for k, n in waiting.items() if n == 0)]
        while ready:
            number = ready.pop()
            if number != HOST_ID:
                self.order.append(number)
            for target in self.ends[number]:
                if target != HOST_ID:
                    self._join(level, number, target)
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
        if len(self.order) != len(self.cores):
            stuck = min(set(waiting) - set(self.order))
            raise ValueError(f"{self.name(stuck)}: waits for its own spikes; break the cycle")

    def _join(self, level: dict[int, int], source: int, target: int) -> None:
        """Sources of a core lie on one level where tokens are exchanged per time step.

        Samples may wait for each other over any number of layers, the steps of one cannot.
        """
        found = level.setdefault(target, level.get(source, 0) + 1)
        is_per_step = self.program.params.model.token_period is TokenPeriod.TIME_STEP
        if is_per_step and found != level.get(source, 0) + 1:
            raise ValueError(
                f"{self.name(target)}: reads {self.name(source)} over {level.get(source, 0) + 1} "
                f"layers and others over {found}; with tokens per time step it would wait for "
                "ever: delay the shorter way by identity layers"
            )
