# SPDX-License-Identifier: Apache-2.0
"""What every source of a program sends for an image: bursts of spikes in the order of firing.

It follows from the spikes and the memory images: which words have spikes in which time step, which
cores read them, and how many operations each spike costs there.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Rectangle, tree

from .flows import Flows

Sent = NDArray[np.float64]

# A burst is this many spikes at the source's pace, and at least this many cycles: little, compared
# with what a queue of spikes holds. Where cores wait for each other most (resnet18_cifar) bursts of
# half the length change the interval by 0.1 % and take twice the time to follow, bursts of
# twice the length by 1.4 %.
BURST_SPIKES, BURST_CYCLES = 6, 24


class Burst(NamedTuple):
    """Flits that a source sends one after the other.

    cycles : that sending takes if no destination holds the source, and no link is taken
    flits : spikes that leave the source, one for each destination entry
    deliveries : (target, spikes, operations that they cost there); targets are indices into the
        source's ``Flows.ends``
    """

    cycles: float
    flits: float
    deliveries: list[tuple[int, float, float]]


# What one set of CREDITs permits, a token period; ends with the ENDs.
BurstSchedule = list[Burst]


class BurstSchedules:
    """Cuts what cores and host send into bursts."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._formats = Formats(flows.program.params)
        self._populations = {i.population.name: i.population for i in flows.program.layers}
        self._places = [{to: k for k, (to, _) in enumerate(ends)} for ends in flows.ends]
        self._costs = [self._core_costs(number) for number in range(flows.host)]

    def gap(self, number: int) -> int:
        """Cycles from a flit to the next."""
        if number == self._flows.host:
            return 1
        mode = self._formats.mode.unpack(self._flows.register(number, Control.MODE))
        return max(1, mode["gap"])

    def of(self, number: int, values: Mapping[str, NDArray[np.int64]]) -> list[BurstSchedule]:
        """Schedules of a core, or the host, for one image, by token period.

        values : integers (C, H, W) by population name
        """
        flows = self._flows
        if number == flows.host:
            steps = self._host_steps([values[name] for name in flows.inputs])
            n_ends = len(flows.program.input_end)
        else:
            steps = self._core_steps(number, values[flows.layers[number]])
            n_ends = self._formats.token_list.unpack(flows.register(number, Control.END_LIST))[
                "count"
            ]
        n_steps = flows.program.params.model.steps_per_period(len(steps))
        periods = [np.concatenate(steps[t : t + n_steps]) for t in range(0, len(steps), n_steps)]
        gap = self.gap(number)
        # The last END is sent when the burst of ENDs is over.
        ends = Burst((n_ends - 1) * gap, 0.0, [])
        return [[*_bursts(sent, gap), ends] for sent in periods]

    def _core_costs(self, number: int) -> Sent:
        """What a spike of each lane of each word causes (words, lanes, columns).

        Columns as in :meth:`_columns`.
        """
        flows, lanes = self._flows, self._flows.program.params.lanes
        fire = flows.cores[number].fire
        c = fire["block"][:, None] * lanes + np.arange(lanes)
        y, x = fire["y"][:, None], fire["x"][:, None]
        costs = np.zeros((len(c), lanes, 1 + 2 * len(flows.ends[number])))
        for chosen, entry in flows.destinations(number):
            x0, y0, x1, y1, axon = map(int, entry)
            costs[chosen] += self._columns(
                number, (x0, y0, x1, y1), axon, c[chosen], y[chosen], x[chosen]
            )
        return costs

    def _columns(
        self,
        number: int,
        rectangle: Rectangle,
        axon: int,
        c: NDArray[np.int64],
        y: NDArray[np.int64],
        x: NDArray[np.int64],
    ) -> Sent:
        """What each spike sent to ``rectangle`` causes: (\\*shape of c, 1 + 2 * targets).

        Columns: flits; then spikes at each target; then operations at each target.
        """
        flows, places = self._flows, self._places[number]
        columns = np.zeros((*c.shape, 1 + 2 * len(places)))
        columns[..., 0] = 1
        for node in tree(flows.node(number), rectangle).hops:
            target = flows.index[node]
            columns[..., 1 + places[target]] = 1
            if target != flows.host:
                operations, _ = flows.cores[target].costs(axon, c, y, x)
                columns[..., 1 + len(places) + places[target]] = operations
        return columns

    def _core_steps(self, number: int, values: NDArray[np.int64]) -> list[Sent]:
        """By time step: what each word's spikes cause (words, columns), in the order of firing."""
        core, lanes = self._flows.cores[number], self._flows.program.params.lanes
        population = self._populations[self._flows.layers[number]]
        padded = np.pad(values, ((0, -len(values) % lanes), (0, 0), (0, 0)))
        c = core.fire["block"][:, None] * lanes + np.arange(lanes)
        words = padded[c, core.fire["y"][:, None], core.fire["x"][:, None]]
        spikes = encode(words, population.bits, population.is_signed).astype(np.float64)
        return list((spikes.swapaxes(0, 1) @ self._costs[number]).swapaxes(0, 1))

    def _host_steps(self, values: list[NDArray[np.int64]]) -> list[Sent]:
        """By time step: what each spike causes (spikes, columns); the host's routes take turns.

        ``values`` (C, H, W) of each population that it sends.
        """
        program, host = self._flows.program, self._flows.host
        trains = [
            encode(array, population.bits, population.is_signed)
            for array, population in zip(values, program.inputs, strict=True)
        ]
        steps = []
        for t in range(max(map(len, trains))):
            turns, sent = [np.zeros(0)], [np.zeros((0, 1 + 2 * len(self._places[host])))]
            for route in program.input_routes:
                train = trains[route.population]
                if t >= len(train):
                    continue
                (y0, y1), (x0, x1) = route.rows, route.columns
                rectangle = train[t][:, y0 : y1 + 1, x0 : x1 + 1]
                c, y, x = np.nonzero(rectangle & route.neurons(len(rectangle)))
                sent.append(self._columns(host, route.nodes, route.axon, c, y + y0, x + x0))
                turns.append((np.arange(len(c)) + 0.5) / max(1, len(c)))
            order = np.argsort(np.concatenate(turns), kind="stable")
            steps.append(np.concatenate(sent)[order])
        return steps


def _bursts(sent: Sent, gap: int) -> BurstSchedule:
    """Bursts of equal length from what words cause (words, columns), one after the other.

    A flit takes ``gap`` cycles, a word without flits one: the scan looks for spikes while those
    found are sent, so that a burst takes as long as the slower of the two.
    """
    if len(sent) == 0:
        return []
    cycles = np.maximum(sent[:, 0] * gap, 1)
    ends = np.concatenate([[0], np.cumsum(cycles)])
    n_bursts = int(np.ceil(ends[-1] / max(BURST_SPIKES * gap, BURST_CYCLES)))
    cuts = np.linspace(0, ends[-1], n_bursts + 1)
    word = np.minimum(np.searchsorted(ends, cuts, side="right") - 1, len(sent) - 1)
    counted = np.column_stack([np.ones(len(sent)), sent])
    before = np.concatenate([np.zeros((1, counted.shape[1])), np.cumsum(counted, axis=0)])
    share = (cuts - ends[word]) / cycles[word]
    made = np.diff(before[word] + share[:, None] * counted[word], axis=0)
    n_targets = (made.shape[1] - 2) // 2
    lengths = np.maximum(made[:, 0], made[:, 1] * gap).tolist()
    spikes, operations = made[:, 2 : 2 + n_targets].tolist(), made[:, 2 + n_targets :].tolist()
    return [
        Burst(length, flits, [(k, n, cost[k]) for k, n in enumerate(received) if n > 0])
        for length, flits, received, cost in zip(
            lengths, made[:, 1].tolist(), spikes, operations, strict=True
        )
    ]
