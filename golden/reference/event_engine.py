# SPDX-License-Identifier: Apache-2.0
"""A program executed literally, packet by packet: the twin that ``program_engine`` is held against.

For small programs. Packets of one source keep their order; those of different sources may
interleave in any way, with the same values.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..arithmetic.fixed import Int64Array
from ..network.results import join
from ..program.inputs import input_values
from ..program.program import Program
from ..spec.fields import Kind
from ..spec.registers import Control
from ..spec.routing import HOST, Node, Rectangle, tree
from ..spec.tokens import Sink, Source
from .event_core import EventCore, EventCounters, Packet
from .trace import TraceEntry

Stream = Iterator[Packet | None]
DONE = "done"  # what a stream gives when it has ended


@dataclass
class EventResult:
    """What one image leads to.

    ``outputs`` (C, H, W) at the host; ``values`` by layer; ``counters`` and ``overflow`` per core
    in the program's order (``overflow`` as the sticky flag: it depends on the order of arrival);
    ``trace`` of all firing cores; ``packets`` as they were delivered.
    """

    outputs: Int64Array
    values: dict[str, Int64Array]
    counters: list[EventCounters]
    overflow: list[bool]
    input_spikes: int
    trace: list[TraceEntry] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)


class _Host:
    """Sends the image, collects the output."""

    def __init__(self, program: Program):
        self.program = program
        self.populations = program.output_populations
        self.received = [np.zeros(population.shape, np.int64) for population in self.populations]
        self.sink = Sink(program.output_ends)
        self.n_periods = 0  # of the output that are complete
        self.input_spikes = 0

    def send(self, images: list[Int64Array]) -> Iterator[Packet | None]:
        """Packets of an image, given by population: bit plane, route, row, column, channel.

        None and END as in :meth:`event_core.EventCore.fire`.
        """
        n_bits = max(source.bits for source in self.program.inputs)
        n_steps = self.program.params.model.steps_per_period(n_bits)
        for t in range(n_bits):
            if t % n_steps == 0:
                yield None
            for route in self.program.input_routes:
                source, image = self.program.inputs[route.population], images[route.population]
                if t >= source.bits:
                    continue
                neurons = route.neurons(source.shape[0])
                for y in range(route.rows[0], route.rows[1] + 1):
                    for x in range(route.columns[0], route.columns[1] + 1):
                        for c in np.flatnonzero(
                            neurons[:, y - route.rows[0], x - route.columns[0]]
                        ).tolist():
                            if source.code.spike(int(image[c, y, x]), t):
                                self.input_spikes += 1
                                yield Packet(Kind.SPIKE, route.nodes, route.axon, t, (c, y, x))
            if (t + 1) % n_steps == 0:
                for nodes in self.program.input_end:
                    yield Packet(Kind.END, nodes)

    def accept(self, spike: Packet) -> None:
        """A spike of an output population: the one that its axon names."""
        weight = self.populations[spike.axon].code.weight(spike.t)
        self.received[spike.axon][spike.source] += weight


class _Run:
    def __init__(self, program: Program, order: np.random.Generator | None, keep: bool):
        self.program, self.order, self.keep = program, order, keep
        self.cores = {(i.x, i.y): EventCore(i, program.params) for i in program.cores}
        self.host = _Host(program)
        self.trace: list[TraceEntry] = []
        self.packets: list[Packet] = []
        # What every node still has to send.
        self.streams: deque[tuple[Node, Stream]] = deque()
        # What waits for CREDIT, and the CREDITs that are there: one of each destination at START.
        self.blocked: dict[Node, Stream] = {}
        self.sources = {HOST: Source(program.input_credits, program.input_credits)}
        for node, core in self.cores.items():
            n = core.register(Control.N_DESTINATIONS)
            self.sources[node] = Source(n, n)
        self.values = {
            info.population.name: np.zeros(info.population.shape, np.int64)
            for info in program.layers
        }

    def run(self, images: list[Int64Array]) -> None:
        self.streams.append((HOST, self.host.send(images)))
        while self.streams:
            # One packet of one source; with no generator, sources take turns.
            if self.order is not None:
                self.streams.rotate(int(self.order.integers(len(self.streams))))
            source, stream = self.streams.popleft()
            packet = next(stream, DONE)
            if packet is None:
                self.sources[source].finish()
                self.blocked[source] = stream
                self.release(source)
            elif isinstance(packet, Packet):
                self.streams.append((source, stream))
                self.deliver(packet, source)
        for node in self.blocked:
            raise ValueError(
                f"node {node}: waits for {self.sources[node].n_destinations} CREDIT, "
                f"got {self.sources[node].credits}"
            )
        for core in self.cores.values():
            if core.ends < core.register(Control.N_SOURCES):
                raise ValueError(
                    f"core {core.node}: waits for {core.register(Control.N_SOURCES)} END, "
                    f"got {core.ends}"
                )
        sink = self.host.sink
        n_periods = self.program.params.model.tokens_per_sample(self.host.populations[0].bits)
        if (self.host.n_periods, sink.ends) != (n_periods, 0):
            got = self.host.n_periods * sink.n_sources + sink.ends
            raise ValueError(f"host: waits for {n_periods * sink.n_sources} END, got {got}")

    # Tokens -----------------------------------------------------------------------------------
    def release(self, node: Node) -> None:
        """Lets a node that waits go on if all its destinations have granted."""
        if node in self.blocked and self.sources[node].may_send:
            self.sources[node].begin()
            self.streams.append((node, self.blocked.pop(node)))

    def grant(self, nodes: Rectangle) -> None:
        """A CREDIT for every node of a rectangle."""
        x0, y0, x1, y1 = nodes
        for node in [(x, y) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)]:
            self.sources[node].credit()
            self.release(node)

    def deliver(self, packet: Packet, source: Node) -> None:
        if self.keep:
            self.packets.append(packet)
        if packet.kind is Kind.SPIKE:
            for node, _ in tree(source, packet.nodes).links:
                if node in self.cores:
                    self.cores[node].counters.hops += 1
        x0, y0, x1, y1 = packet.nodes
        for node in [(x, y) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)]:
            if node == HOST:
                if packet.kind is Kind.SPIKE:
                    self.host.accept(packet)
                elif self.host.sink.end():
                    self.host.n_periods += 1
                    for x, y in self.program.output_cores:
                        self.grant((x, y, x, y))
                continue
            if node not in self.cores:
                raise ValueError(f"node {node}: receives a packet and has no core")
            core = self.cores[node]
            if core.ends == core.register(Control.N_SOURCES):
                raise ValueError(f"core {node}: gets a packet after the sample's last END")
            if packet.kind is Kind.SPIKE:
                core.accept(packet)
            else:
                core.ends += 1
                if core.ends == core.register(Control.N_SOURCES):
                    self.complete(core)

    def complete(self, core: EventCore) -> None:
        words = core.update_pass()
        if words is None:
            core.ends = 0
            for token in core.tokens(Control.CREDIT_LIST, Kind.CREDIT):
                self.grant(token.nodes)
            return
        target = self.values[core.layer]
        for number, word in enumerate(words):
            for lane, q in enumerate(word):
                c, y, x = core.neuron(number, lane)
                if c < target.shape[0]:
                    target[c, y, x] = q
        self.streams.append((core.node, core.fire(words, self.trace)))


def run_events(
    program: Program,
    image: ArrayLike,
    *,
    order: np.random.Generator | None = None,
    keep_packets: bool = False,
) -> EventResult:
    """Execute ``program`` for one integer image (C, H, W), packet by packet.

    ``order`` interleaves the packets of different sources at random; values and counters do not
    depend on it. ``keep_packets`` returns every packet in order of delivery.
    """
    images = input_values(program, np.asarray(image)[None])
    run = _Run(program, order, keep_packets)
    run.run([array[0].astype(np.int64) for array in images])
    return EventResult(
        join([values[None] for values in run.host.received])[0],
        run.values,
        [core.counters for core in run.cores.values()],
        [core.overflow for core in run.cores.values()],
        run.host.input_spikes,
        run.trace,
        run.packets,
    )
