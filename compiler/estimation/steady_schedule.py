# SPDX-License-Identifier: Apache-2.0
"""When images come out of a program if all have the same load, from sums over an image.

A core updates when all its sources have fired and it has fired the image before; it fires when it
has updated and all its destinations have updated the image before. Firing takes as long as its own
packets, or as long as the slowest destination needs for all spikes of the layer. Where tokens stand
for time steps, all but the last of the slowest destination's update passes, and the exchanges
before them, come in between. Time lost where cores wait for each other's spikes is left out;
:mod:`stemcore.compiler.estimation.burst_pipeline` has it, for images whose spikes are known.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.timing import EXCHANGE_CYCLES, HOP_CYCLES, fire_cycles, update_cycles

from .flows import Flows, Loads


@dataclass(frozen=True)
class Schedule:
    """Cycles at which each image begins at the host and its last END is back."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]

    @property
    def latency(self) -> float:
        """Of the first image, in an idle chip."""
        return float(self.end[0] - self.start[0])

    @property
    def interval(self) -> float:
        """Mean distance of the ends of successive images; of one image, its latency."""
        if len(self.end) == 1:
            return self.latency
        return float(np.diff(self.end).mean())


def firing(flows: Flows, loads: Loads) -> NDArray[np.float64]:
    """Cycles from each core's first spike of an image to its END, undisturbed; the host last."""
    share: defaultdict[tuple[str, int], float] = defaultdict(float)
    for (source, target), operations in loads.operations.items():
        share[flows.layers[source], target] += operations
    duration = np.zeros(flows.host + 1)
    for source in flows.order:
        own = loads.packets[source]
        if source != flows.host:
            own = fire_cycles(flows.bits(source), flows.register(source, Control.N_FIRE), own)
        needs = [share[flows.layers[source], target] for target, _ in flows.ends[source]]
        between = [_between_steps(flows, t) for t, _ in flows.ends[source] if t != flows.host]
        duration[source] = max([own, *needs]) + max(between, default=0.0)
    return duration


def _between_steps(flows: Flows, core: int) -> float:
    """Cycles of an image in which a core's sources wait for it between time steps."""
    update_pass = update_cycles(flows.program.params, flows.register(core, Control.N_UPDATE))
    return (flows.n_updates(core) - 1) * (update_pass + 2 * EXCHANGE_CYCLES)


def schedule(flows: Flows, loads: Loads, n_images: int) -> Schedule:
    """Start and end of ``n_images`` images that follow each other, each with these loads."""
    host, params = flows.host, flows.program.params
    update_pass = [update_cycles(params, flows.register(n, Control.N_UPDATE)) for n in range(host)]
    targets = [[t for t, _ in flows.ends[n] if t != host] for n in range(host + 1)]
    start, end = [], []
    updated, fired = np.zeros(host + 1), np.zeros(host + 1)
    duration = firing(flows, loads)
    for _ in range(n_images):
        ready, granted = np.zeros(host + 1), updated.copy()
        for number in flows.order:
            if number != host:
                updated[number] = max(ready[number], fired[number]) + update_pass[number]
            begin = max([fired[number], *(granted[t] for t in targets[number])])
            if number == host:
                start.append(begin)
            else:
                begin = max(begin, updated[number])
            fired[number] = begin + duration[number]
            for target, hops in flows.ends[number]:
                arrival = fired[number] + hops * HOP_CYCLES + EXCHANGE_CYCLES
                ready[target] = max(ready[target], arrival)
        end.append(ready[host])
    return Schedule(np.array(start), np.array(end))
