# SPDX-License-Identifier: Apache-2.0
"""A program executed literally: packet by packet, one weight word at a time, on Python integers.

The twin of ``golden.mesh``: slow, for small programs, and written from the words of the contract
(walk, operation, sweep, firing) so that the fast form can be held against it. Packets of one
source keep their order; those of different sources may interleave in any way, with the same values.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .fields import Control, Formats, Kind, Memory
from .fixed import Int64Array, requantize_one, wrap_one
from .forward import check_images
from .network import Population
from .params import ACTIVATION_WIDTH, BIAS_WIDTH, CHUNK_WIDTH, WEIGHT_WIDTH, ChipParams
from .program import HOST, CoreImage, Program
from .stem import weight_of_step
from .trace import TraceEntry
from .walk import Operation, walk

Node = tuple[int, int]
Rectangle = tuple[int, int, int, int]
Coordinates = tuple[int, int, int]  # channel, row, column


@dataclass(frozen=True)
class Packet:
    """A flit without its route: kind, destination nodes, and the fields of a spike."""

    kind: Kind
    nodes: Rectangle
    axon: int = 0
    t: int = 0
    source: Coordinates = (0, 0, 0)


@dataclass
class EventCounters:
    """Counters of one core for one sample, as :class:`golden.fields.Control` defines them."""

    sops: int = 0
    ops: int = 0
    spikes_in: int = 0
    spikes_out: int = 0
    fired: int = 0


class EventCore:
    """One core, word by word."""

    def __init__(self, image: CoreImage, params: ChipParams):
        self.node: Node = (image.x, image.y)
        self.layer = image.layer
        self.params = params
        self.formats = Formats(params)
        self._words = {
            memory: [
                sum(int(chunk) << (CHUNK_WIDTH * i) for i, chunk in enumerate(word))
                for word in chunks
            ]
            for memory, chunks in image.memories.items()
        }
        self.mode = self.formats.mode.unpack(self.register(Control.MODE))
        self.tables = (
            self._table(Memory.TABLE_C),
            self._table(Memory.TABLE_Y),
            self._table(Memory.TABLE_X),
        )
        self.accumulators = [[0] * params.lanes for _ in range(params.n_acc_words)]
        self.counters = EventCounters()
        self.overflow = False
        self.ends = 0

    def register(self, register: Control) -> int:
        """A register of the image."""
        return self._words[Memory.CONTROL][register]

    def word(self, memory: Memory, address: int) -> int:
        """A memory word; ``ValueError`` beyond the words in use."""
        words = self._words.get(memory, [])
        if address >= len(words):
            raise ValueError(
                f"core {self.node}: word {address} of {memory.name} is read, "
                f"{len(words)} are in use"
            )
        return words[address]

    def fields(self, memory: Memory, address: int) -> dict[str, int]:
        """A memory word, field by field."""
        layout = self.formats.memory(memory)[0]
        assert layout is not None
        return layout.unpack(self.word(memory, address))

    def _table(self, memory: Memory) -> list[dict[str, int]]:
        return [self.fields(memory, address) for address in range(len(self._words[memory]))]

    def tokens(self, register: Control, kind: Kind) -> list[Packet]:
        """Packets of a token list."""
        run = self.formats.token_list.unpack(self.register(register))
        return [
            Packet(kind, self._destination(entry)[0])
            for entry in range(run["start"], run["start"] + run["count"])
        ]

    def _destination(self, entry: int) -> tuple[Rectangle, int]:
        d = self.fields(Memory.DESTINATION, entry)
        return (d["x0"], d["y0"], d["x1"], d["y1"]), d["axon"]

    # Accumulation -------------------------------------------------------------------------------
    def accept(self, spike: Packet) -> None:
        """Walk of one spike: every operation in the order in which the hardware issues it."""
        axon = self.fields(Memory.AXON, spike.axon)
        if axon["shift0"] < spike.t:
            raise ValueError(
                f"core {self.node}, axon {spike.axon}: shift0 {axon['shift0']} is less than the "
                f"time step {spike.t}"
            )
        c, y, x = spike.source
        try:
            operations = walk(
                self.params, axon, self.tables, {"t": spike.t, "c": c, "y": y, "x": x}
            )
        except IndexError:
            raise ValueError(
                f"core {self.node}, axon {spike.axon}: neuron {spike.source} needs table words "
                "beyond those in use"
            ) from None
        self.counters.spikes_in += 1
        for operation in operations:
            self.counters.sops += operation.n_lanes + 1
            self.operate(operation)

    def operate(self, operation: Operation) -> None:
        """One operation: a weight word added to an accumulator word, wrapping."""
        width = self.params.acc_width
        weights = self.fields(Memory.WEIGHT, operation.weight)
        potentials = self.accumulators[operation.acc]
        for lane in range(self.params.lanes):
            w = wrap_one(weights[f"w{lane}"], WEIGHT_WIDTH)
            addend = (-w if operation.negate else w) << operation.shift
            v = potentials[lane] + addend
            self.overflow |= v != wrap_one(v, width) or addend != wrap_one(addend, width)
            potentials[lane] = wrap_one(v, width)
        self.counters.ops += 1

    # Sweep --------------------------------------------------------------------------------------
    def sweep(self) -> list[list[int]]:
        """Activation words of the sample; accumulators are cleared as the sweep table says."""
        words: list[list[int]] = []
        window: list[int] = []
        for e in range(self.register(Control.N_SWEEP)):
            entry = self.fields(Memory.SWEEP, e)
            potentials = self.accumulators[entry["acc"]]
            q = [
                self._activation(entry["block"], lane, potentials[lane])
                for lane in range(self.params.lanes)
            ]
            window = q if entry["first"] else [max(a, b) for a, b in zip(window, q, strict=True)]
            if entry["last"]:
                words.append(window)
            if entry["clear"]:
                self.accumulators[entry["acc"]] = [0] * self.params.lanes
        return words

    def _activation(self, block: int, lane: int, z: int) -> int:
        p, mode = self.params, self.mode
        group, index = divmod(lane, p.soma_lanes)
        word = self.fields(Memory.REQUANT, block * p.n_groups + group)
        constants = self.formats.requant_lane.unpack(word[f"lane{index}"])
        q = requantize_one(
            z,
            wrap_one(constants["bias"], BIAS_WIDTH),
            constants["multiplier"] if p.multipliers else 1,
            constants["shift"],
            mode["bias_shift"],
            mode["bits"],
            bool(mode["is_signed"]),
        )
        if mode["use_lookup"]:
            q = self.fields(Memory.LOOKUP, q % (1 << mode["bits"]))["value"]
            if mode["is_signed"]:
                q = wrap_one(q, ACTIVATION_WIDTH)
        return q

    # Firing -------------------------------------------------------------------------------------
    def neuron(self, word: int, lane: int) -> Coordinates:
        """Coordinates of a lane of an activation word."""
        entry = self.fields(Memory.FIRE, word)
        return entry["block"] * self.params.lanes + lane, entry["y"], entry["x"]

    def fire(self, words: list[list[int]], trace: list[TraceEntry]) -> Iterator[Packet]:
        """Packets of a sample: bit plane, word, destination entry, lane; then END."""
        bits = self.mode["bits"]
        left = [[q % (1 << bits) for q in word] for word in words]
        for t in range(bits):
            v_th = 1 << (bits - 1 - t)
            for number, word in enumerate(left):
                entry = self.fields(Memory.FIRE, number)
                fires = [int(v >= v_th) for v in word]
                for lane, spike in enumerate(fires):
                    neuron = self.neuron(number, lane)
                    trace.append(TraceEntry(t, self.node, neuron, word[lane], spike))
                    word[lane] -= spike * v_th
                self.counters.fired += sum(fires)
                for d in range(entry["start"], entry["start"] + entry["count"]):
                    nodes, axon = self._destination(d)
                    for lane, spike in enumerate(fires):
                        if spike:
                            self.counters.spikes_out += 1
                            source = self.neuron(number, lane)
                            yield Packet(Kind.SPIKE, nodes, axon, t, source)
        yield from self.tokens(Control.END_LIST, Kind.END)


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
        self.population = next(
            info.population for info in program.layers if info.population.name == program.output
        )
        self.outputs = np.zeros(self.population.shape, np.int64)
        self.ends = 0
        self.input_spikes = 0

    def send(self, image: Int64Array) -> Iterator[Packet]:
        """Packets of an image: bit plane, route, row, column, channel; then END."""
        source = self.program.input
        for t in range(source.bits):
            for route in self.program.input_routes:
                for y in range(route.rows[0], route.rows[1] + 1):
                    for x in range(route.columns[0], route.columns[1] + 1):
                        for c in range(source.shape[0]):
                            if (int(image[c, y, x]) >> (source.bits - 1 - t)) & 1:
                                self.input_spikes += 1
                                yield Packet(Kind.SPIKE, route.nodes, route.axon, t, (c, y, x))
        for nodes in self.program.input_end:
            yield Packet(Kind.END, nodes)

    def accept(self, spike: Packet) -> None:
        """A spike of the output population."""
        p = self.population
        self.outputs[spike.source] += weight_of_step(spike.t, p.bits, p.is_signed)


class _Run:
    def __init__(self, program: Program, order: np.random.Generator | None, keep: bool):
        self.program, self.order, self.keep = program, order, keep
        self.cores = {(i.x, i.y): EventCore(i, program.params) for i in program.cores}
        self.host = _Host(program)
        self.trace: list[TraceEntry] = []
        self.packets: list[Packet] = []
        self.streams: deque[Iterator[Packet]] = deque()
        self.values = {
            info.population.name: np.zeros(info.population.shape, np.int64)
            for info in program.layers
        }

    def run(self, image: Int64Array) -> None:
        self.streams.append(self.host.send(image))
        while self.streams:
            # One packet of one source; with no generator, sources take turns.
            if self.order is not None:
                self.streams.rotate(int(self.order.integers(len(self.streams))))
            stream = self.streams.popleft()
            packet = next(stream, None)
            if packet is not None:
                self.streams.append(stream)
                self.deliver(packet)
        for core in self.cores.values():
            if core.ends < core.register(Control.N_SOURCES):
                raise ValueError(
                    f"core {core.node}: waits for {core.register(Control.N_SOURCES)} END, "
                    f"got {core.ends}"
                )
        if self.host.ends != self.program.output_ends:
            raise ValueError(
                f"host: waits for {self.program.output_ends} END, got {self.host.ends}"
            )

    def deliver(self, packet: Packet) -> None:
        if self.keep:
            self.packets.append(packet)
        x0, y0, x1, y1 = packet.nodes
        for node in [(x, y) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)]:
            if node == HOST:
                if packet.kind is Kind.SPIKE:
                    self.host.accept(packet)
                else:
                    self.host.ends += 1
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
        words = core.sweep()
        target = self.values[core.layer]
        for number, word in enumerate(words):
            for lane, q in enumerate(word):
                c, y, x = core.neuron(number, lane)
                if c < target.shape[0]:
                    target[c, y, x] = q
        self.streams.append(core.fire(words, self.trace))


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
    source: Population = program.input
    array = check_images(np.asarray(image)[None], source).astype(np.int64)[0]
    run = _Run(program, order, keep_packets)
    run.run(array)
    return EventResult(
        run.host.outputs,
        run.values,
        [core.counters for core in run.cores.values()],
        [core.overflow for core in run.cores.values()],
        run.host.input_spikes,
        run.trace,
        run.packets,
    )
