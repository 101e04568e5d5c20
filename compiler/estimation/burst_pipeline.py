# SPDX-License-Identifier: Apache-2.0
"""When images come out of a program whose spikes are known: an event simulation of spike bursts.

A source sends in the order of its words. While it sends to some of its destinations the others run
out of work; a destination whose queue is full holds the source, for which other destinations may be
waiting. How much time is lost depends on what the queues of spikes can bridge, which no sum over an
image shows. So every burst is followed from event to event, by the rules of hdl/README.md ("Life of
a sample in a core"). Within a burst, spikes and loop nests are treated as a steady flow. Cores of a
layer share what links carry (:mod:`stemcore.compiler.estimation.shared_links`); other congestion in
the mesh is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.timing import (
    DRAIN_CYCLES,
    FINISH_CYCLES,
    FIRE_CYCLES,
    FLIT_CYCLES,
    GRANT_CYCLES,
    HOP_CYCLES,
    NEST_SPIKES,
    PACE_CYCLES,
    TOKEN_CYCLES,
    update_cycles,
)

from .burst_schedule import Burst, BurstSchedule, BurstSchedules
from .flows import Flows
from .shared_links import shared_links, time_on_link
from .spike_backlog import SpikeBacklog
from .steady_schedule import Schedule

Values = Mapping[str, NDArray[np.int64]]


class _Node:
    """State of a core, or of the host: what it waits for and what it is sending."""

    def __init__(
        self,
        number: int,
        gap: int,
        update_pass: float,
        n_updates: int,
        n_fires: int,
        spikes: SpikeBacklog,
    ) -> None:
        self.number, self.gap, self.update_pass = number, gap, update_pass
        self.n_updates, self.n_fires = n_updates, n_fires  # per image
        self.targets: list[tuple[_Node, float]] = []  # with the cycles of their hops
        self.sources: list[tuple[_Node, float]] = []
        self.spikes = spikes
        # Links shared with others: the share of flits that cross it, and the others with theirs.
        self.links: list[tuple[float, list[tuple[_Node, float]]]] = []
        self.is_firing = False
        self.rate = 0.0  # flits a cycle of the burst that is being sent
        self.schedules: list[BurstSchedule] = []  # of the image that is being fired
        self.bursts: Iterator[Burst] = iter(())  # those after ``burst``
        self.burst = Burst(0.0, 0.0, [])  # what is being sent, or what is left of it
        self.n_ends = self.n_credits = self.n_updated = self.n_fired = 0
        self.ended_at = self.permitted_at = self.finished_at = self.free_at = 0.0


class Pipeline:
    """Simulates the bursts of images through a program; an object serves one run.

    Parameters
    ----------
    flows : Flows
    images : sequence of mappings
        Values (C, H, W) of every population, for each image. At least one.
    """

    def __init__(self, flows: Flows, images: Sequence[Values]) -> None:
        self._params = flows.program.params
        self._events: list[tuple[float, int, float | None]] = []  # time, node, its burst's start
        self._starts: list[float] = []
        self._stops: list[float] = []
        self._images = images
        self._schedules = BurstSchedules(flows)
        self._nodes = [self._node(flows, number) for number in range(flows.host + 1)]
        self._host = self._nodes[flows.host]
        for node in self._nodes:
            for number, hops in flows.ends[node.number]:
                node.targets.append((self._nodes[number], hops * HOP_CYCLES))
                self._nodes[number].sources.append((node, hops * HOP_CYCLES))
            node.n_credits = len(node.targets)
        for node, links in zip(self._nodes, shared_links(flows, self._schedules.gap), strict=True):
            node.links = [
                (share, [(self._nodes[other], n) for other, n in others]) for share, others in links
            ]

    def run(self) -> Schedule:
        """Start and end of every image."""
        for node in self._nodes:
            self._fire(node)
        while self._events:
            now, number, started = heappop(self._events)
            if started is None:
                self._begin(self._nodes[number], now)
            else:
                self._send(self._nodes[number], started, now)
        assert len(self._stops) == len(self._images), "a program ends every image"
        return Schedule(np.array(self._starts), np.array(self._stops))

    def _node(self, flows: Flows, number: int) -> _Node:
        tokens = self._params.model.tokens_per_sample
        if number != flows.host:
            update_pass = update_cycles(self._params, flows.register(number, Control.N_UPDATE))
            n_updates, n_fires = flows.n_updates(number), tokens(flows.bits(number))
        else:
            program = flows.program
            output = next(i for i in program.layers if i.population.name == program.output)
            update_pass, n_updates = 0.0, tokens(output.population.bits)
            n_fires = tokens(program.input.bits)
        gap = self._schedules.gap(number)
        return _Node(number, gap, update_pass, n_updates, n_fires, self._backlog(0.0))

    def _backlog(self, start: float) -> SpikeBacklog:
        n_spikes = self._params.n_spikes
        return SpikeBacklog(start, n_spikes // 2 + NEST_SPIKES, n_spikes // 4 + NEST_SPIKES)

    def _fire(self, node: _Node) -> None:
        """Begins a burst schedule if there is one, and CREDITs for it."""
        if node.is_firing or node.n_credits < len(node.targets):
            return
        image, step = divmod(node.n_fired, node.n_fires)
        start = max(node.permitted_at, node.free_at)
        if node is self._host:
            if image == len(self._images):
                return
            if step == 0:
                self._starts.append(start)
        else:
            if image == node.n_updated // node.n_updates:
                return
            start = max(start, node.finished_at + FINISH_CYCLES) + FIRE_CYCLES
        if step == 0:
            node.schedules = self._schedules.of(node.number, self._images[image])
        node.is_firing, node.n_credits, node.permitted_at = True, 0, 0.0
        node.bursts = iter(node.schedules[step])
        node.burst = next(node.bursts)
        heappush(self._events, (start, node.number, None))

    def _begin(self, node: _Node, now: float) -> None:
        """Sends the next burst, now or as soon as no destination holds the source."""
        resume = now
        for target, hops in node.targets:
            held_at = target.spikes.held_at
            if held_at is None or held_at + hops + PACE_CYCLES > now:
                continue
            falls_at = target.spikes.falls_at() + hops + PACE_CYCLES
            if falls_at <= now:
                target.spikes.held_at = None
            resume = max(resume, falls_at)
        if resume > now:
            node.rate = 0.0
            heappush(self._events, (resume, node.number, None))
        else:
            cycles = _duration(node)
            node.rate = node.burst.flits / cycles if cycles else 0.0
            heappush(self._events, (now + cycles, node.number, now))

    def _send(self, node: _Node, start: float, now: float) -> None:
        """Delivers the burst that ends now, or what was sent of it before a destination held it."""
        stop = now
        for target, hops in node.targets:
            if target.spikes.held_at is not None:
                held = max(start, target.spikes.held_at + hops + PACE_CYCLES)
                if held < stop and target.spikes.falls_at() + hops + PACE_CYCLES > held:
                    stop = held
        cycles, flits, deliveries = node.burst
        share = 1.0 if stop == now else (stop - start) / (now - start)
        for place, spikes, operations in deliveries if share > 0 else ():
            target, hops = node.targets[place]
            latency = hops + FLIT_CYCLES
            target.spikes.take(start + latency, stop + latency, spikes * share, operations * share)
        following: Burst | None
        if share < 1.0:
            rest = 1.0 - share
            left = [(k, n * rest, o * rest) for k, n, o in deliveries]
            following = Burst(cycles * rest, flits * rest, left)
        else:
            following = next(node.bursts, None)
        if following is None:
            self._end(node, now)
        else:
            node.burst = following
            self._begin(node, stop)

    def _end(self, node: _Node, now: float) -> None:
        """The last END has been sent."""
        node.is_firing, node.rate = False, 0.0
        node.free_at = now + node.gap + FINISH_CYCLES
        node.n_fired += 1
        for target, hops in node.targets:
            target.n_ends += 1
            target.ended_at = max(target.ended_at, now + hops + FLIT_CYCLES)
            self._update(target)
        self._update(node)
        self._fire(node)

    def _update(self, node: _Node) -> None:
        """Ends the token period if all ENDs and spikes have arrived, and grants the next."""
        if node.n_ends < len(node.sources):
            return
        is_last = (node.n_updated + 1) % node.n_updates == 0
        done = max(node.spikes.done[-1], node.spikes.over_at)
        start = max(node.ended_at + TOKEN_CYCLES, done + DRAIN_CYCLES)
        if node is self._host:
            if is_last:
                self._stops.append(node.ended_at)
        elif is_last:
            if node.n_fired < node.n_fires * (node.n_updated // node.n_updates):
                return
            start = max(start, node.free_at)
        updated = start + node.update_pass
        node.n_updated, node.n_ends, node.ended_at = node.n_updated + 1, 0, 0.0
        node.spikes = self._backlog(updated)
        if is_last:
            node.finished_at = updated
        for source, hops in node.sources:
            source.n_credits += 1
            source.permitted_at = max(source.permitted_at, updated + hops + GRANT_CYCLES)
            self._fire(source)
        self._fire(node)


def _duration(node: _Node) -> float:
    """Cycles that the node's burst takes beside those that others send over the same links."""
    cycles, flits, _ = node.burst
    longest = cycles
    for share, others in node.links if flits else ():
        rates = [n * other.rate for other, n in others if other.rate]
        if rates:
            longest = max(longest, time_on_link(share * flits, rates))
    return longest
