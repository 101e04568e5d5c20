# SPDX-License-Identifier: Apache-2.0
"""One core executed literally, one weight word at a time, on Python integers.

Written from the words of the contract (loop nest, operation, update pass, firing) and slow on
purpose: what ``core`` and ``axon_plan`` compute at once is held against it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..arithmetic.fixed import digit_one, requantize_one, wrap_one
from ..program.program import CoreImage
from ..program.words import join_chunks
from ..spec.address_generation import Operation, loop_nest
from ..spec.fields import Formats, Kind, Memory
from ..spec.params import ChipParams
from ..spec.registers import Control
from ..spec.routing import Node, Rectangle
from ..spec.spike_code import SpikeCode
from ..spec.widths import ACTIVATION_WIDTH, BIAS_WIDTH, WEIGHT_WIDTH
from .trace import TraceEntry

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
    """Counters of one core for one sample, as :class:`fields.Control` defines them."""

    sops: int = 0
    ops: int = 0
    spikes_in: int = 0
    spikes_out: int = 0
    fired: int = 0
    hops: int = 0


class EventCore:
    """One core, word by word."""

    def __init__(self, image: CoreImage, params: ChipParams):
        self.node: Node = (image.x, image.y)
        self.layer = image.layer
        self.params = params
        self.formats = Formats(params)
        self._words = {memory: join_chunks(chunks) for memory, chunks in image.memories.items()}
        self.mode = self.formats.mode.unpack(self.register(Control.MODE))
        self.tables = (
            self._table(Memory.TABLE_C),
            self._table(Memory.TABLE_Y),
            self._table(Memory.TABLE_X),
        )
        self.accumulators = [[0] * params.lanes for _ in range(params.n_acc_words)]
        # The potential of every accumulator, and the present token period.
        self.potentials = [[0] * params.lanes for _ in range(params.n_acc_words)]
        self.period = 0
        model = params.model
        register = self.register(Control.INTEGRATION) if model.register else 0
        fields = self.formats.integration.unpack(register)
        self.n_periods = model.n_periods(fields)
        self.constants = model.neuron.from_fields(fields, multipliers=params.multipliers)
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
        """Loop nest of one spike: every operation in the order in which the hardware issues it."""
        axon = self.fields(Memory.AXON, spike.axon)
        if self.params.model.weight_shift(axon["shift0"], spike.t) < 0:
            raise ValueError(
                f"core {self.node}, axon {spike.axon}: shift0 {axon['shift0']} is less than the "
                f"time step {spike.t}"
            )
        c, y, x = spike.source
        try:
            operations = loop_nest(
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

    # Update pass --------------------------------------------------------------------------------
    def update_pass(self) -> list[list[int]] | None:
        """Ends a token period: potentials are updated, sums are taken out as the table says.

        Activation words after a sample's last period, None after the others.
        """
        is_last = self.period == self.n_periods - 1
        words: list[list[int]] = []
        window: list[int] = []
        for e in range(self.register(Control.N_UPDATE)):
            entry = self.fields(Memory.UPDATE, e)
            acc = entry["acc"]
            potentials = [
                self.constants.update(v, i, self.period, self.n_periods)
                for v, i in zip(self.potentials[acc], self.accumulators[acc], strict=True)
            ]
            if entry["clear"]:
                self.potentials[acc] = potentials
                self.accumulators[acc] = [0] * self.params.lanes
            if is_last:
                q = [self._activation(entry["block"], lane, v) for lane, v in enumerate(potentials)]
                window = q if entry["first"] else list(map(max, window, q))
                if entry["last"]:
                    words.append(window)
        self.period = 0 if is_last else self.period + 1
        return words if is_last else None

    def _activation(self, block: int, lane: int, z: int) -> int:
        p, mode = self.params, self.mode
        group, index = divmod(lane, p.soma_lanes)
        word = self.fields(Memory.REQUANT, block * p.n_groups + group)
        constants = self.formats.requant_lane.unpack(word[f"lane{index}"])
        terms = (
            z,
            wrap_one(constants["bias"], BIAS_WIDTH),
            constants["multiplier"] if p.multipliers else 1,
            constants["shift"],
            mode["bias_shift"],
        )
        if mode["is_raw"]:
            return digit_one(*terms)
        q = requantize_one(*terms, mode["bits"], bool(mode["is_signed"]))
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

    def fire(self, words: list[list[int]], trace: list[TraceEntry]) -> Iterator[Packet | None]:
        """Packets of a sample: bit plane, word, destination entry, lane.

        Every token period is None, its spikes, END: what follows a None may be sent when every
        destination has granted CREDIT.
        """
        code = SpikeCode(self.mode["bits"], bool(self.mode["is_signed"]))
        left = [[q % (1 << code.bits) for q in word] for word in words]
        n_steps = self.params.model.steps_per_period(code.bits)
        for t in range(code.bits):
            v_th = code.threshold(t)
            if t % n_steps == 0:
                yield None
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
            if (t + 1) % n_steps == 0:
                yield from self.tokens(Control.END_LIST, Kind.END)
