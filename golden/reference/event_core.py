# SPDX-License-Identifier: Apache-2.0
"""One core executed literally, one weight word at a time, on Python integers.

Written from the words of the contract (loop nest, operation, update pass, firing) and slow on
purpose: what ``core`` and ``axon_plan`` compute at once is
held against it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..arithmetic.fixed import digit_one, requantize_one, wrap_one
from ..arithmetic.step_integration import Integration, read_integration, update_one
from ..program.program import CoreImage
from ..spec.address_generation import Operation, loop_nest
from ..spec.fields import Control, Formats, Kind, Memory
from ..spec.params import ACTIVATION_WIDTH, BIAS_WIDTH, CHUNK_WIDTH, WEIGHT_WIDTH, ChipParams
from ..spec.routing import Node, Rectangle
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
        # Where integration is per time step: V of every accumulator, and the present step.
        self.potentials = [[0] * params.lanes for _ in range(params.n_acc_words)]
        self.step = 0
        self.n_steps = 1
        self.form: Integration | None = None
        if params.is_stepped:
            constants = self.formats.integration.unpack(self.register(Control.INTEGRATION))
            self.n_steps, self.form = constants["steps"], read_integration(params, constants)
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
        if axon["shift0"] < spike.t and not self.params.is_stepped:
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

    # Update pass
    # --------------------------------------------------------------------------------------
    def update_pass(self) -> list[list[int]] | None:
        """Activation words of the sample; accumulators are cleared as the update pass table says.

        Where integration is per time step, None before the last one: potentials alone change.
        """
        if self.form is not None:
            self._update(self.form)
            self.step += 1
            if self.step < self.n_steps:
                return None
            self.accumulators = [list(word) for word in self.potentials]
        return self._finish()

    def _update(self, form: Integration) -> None:
        """V of every word of the update pass, once; its sum is taken out."""
        for e in range(self.register(Control.N_UPDATE)):
            entry = self.fields(Memory.UPDATE, e)
            if entry["clear"]:
                acc = entry["acc"]
                self.potentials[acc] = [
                    update_one(v, i, self.step, self.n_steps, form)
                    for v, i in zip(self.potentials[acc], self.accumulators[acc], strict=True)
                ]
                self.accumulators[acc] = [0] * self.params.lanes

    def _finish(self) -> list[list[int]]:
        words: list[list[int]] = []
        window: list[int] = []
        for e in range(self.register(Control.N_UPDATE)):
            entry = self.fields(Memory.UPDATE, e)
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
        """Packets of a sample: bit plane, word, destination entry, lane; then END.

        Where tokens are exchanged per time step, END follows every plane, and None comes before it:
        the rest may be sent when every destination has granted CREDIT.
        """
        bits = self.mode["bits"]
        left = [[q % (1 << bits) for q in word] for word in words]
        for t in range(bits):
            v_th = 1 << (bits - 1 - t)
            if self.params.is_stepped:
                if t:
                    yield from self.tokens(Control.END_LIST, Kind.END)
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
        yield from self.tokens(Control.END_LIST, Kind.END)
