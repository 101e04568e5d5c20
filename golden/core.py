# SPDX-License-Identifier: Apache-2.0
"""One core, executed from its memory image alone, on batches of samples.

Nothing here knows the network: connectivity is what the axon descriptors and coordinate tables
say. Spikes of a sample are not played one by one (``golden.events`` does that): since the
accumulators wrap and every spike of time step t weighs ``2**(shift0 - t)``, a source neuron of
value x adds ``w x 2**h`` with ``h = shift0 - (T-1)`` wherever one of its spikes adds w.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import Control, Formats, Memory
from .fixed import Int64Array, limits, requantize, wrap
from .params import ACTIVATION_WIDTH, BIAS_WIDTH, WEIGHT_WIDTH, ChipParams
from .program import CoreImage
from .words import unpack_words

Float64Array = NDArray[np.float64]

N_REGISTERS = Control.CREDIT_LIST + 1  # words of CONTROL that an image holds


@dataclass(frozen=True)
class Table:
    """A coordinate table: start of the walk, and how many steps it takes (arrays, words in use)."""

    name: str
    acc: Int64Array
    weight: Int64Array
    count: Int64Array


@dataclass(frozen=True)
class Axon:
    """An axon descriptor, fields as in :attr:`golden.fields.Formats.axon`."""

    c_base: int
    y_base: int
    x_base: int
    y_acc_step: int
    x_acc_step: int
    y_weight_step: int
    x_weight_step: int
    shift0: int
    is_signed: int
    tail: int


class Core:
    """The decoded contents of one core, checked for what can be checked without its neighbours.

    Attributes
    ----------
    n_sources, n_destinations, bits, is_signed, bias_shift
        Registers.
    end_list, credit_list : range
        Addresses in the destination table.
    axons : list of Axon
    weights : int64 (words, lanes)
    fire_c, fire_y, fire_x : int64 (words,)
        Coordinates of an activation word: channel of lane 0, row, column.
    fire_start, fire_count : int64 (words,)
        Run of destination entries.
    destinations : list of ((x0, y0, x1, y1), axon)
    """

    def __init__(self, image: CoreImage, params: ChipParams):
        self.image = image
        self.params = params
        self.where = f"core ({image.x}, {image.y}) of {image.layer}"
        self._formats = Formats(params)
        self._read_control()
        self._read_tables()
        self._read_sweep()
        self._read_fire()

    def fail(self, message: str) -> ValueError:
        """An error that says which core it is about."""
        return ValueError(f"{self.where}: {message}")

    # Decoding -----------------------------------------------------------------------------------
    def _words(self, memory: Memory) -> dict[str, Int64Array]:
        layout, depth = self._formats.memory(memory)
        assert layout is not None
        n_chunks = self._formats.n_chunks(memory)
        chunks = self.image.memories.get(memory, np.zeros((0, n_chunks), np.uint32))
        if len(chunks) > depth:
            raise self.fail(f"{memory.name} holds {depth} words, the image has {len(chunks)}")
        return unpack_words(layout, chunks)

    def _read_control(self) -> None:
        control = self.image.memories[Memory.CONTROL]
        if control.shape != (N_REGISTERS, 1):
            raise self.fail(f"CONTROL must have shape ({N_REGISTERS}, 1), got {control.shape}")
        register = [int(word) for word in control[:, 0]]
        self.n_sources = register[Control.N_SOURCES]
        self.n_destinations = register[Control.N_DESTINATIONS]
        self.n_sweep = register[Control.N_SWEEP]
        self.n_fire = register[Control.N_FIRE]
        mode = self._formats.mode.unpack(register[Control.MODE])
        self.bits, self.is_signed = mode["bits"], bool(mode["is_signed"])
        self.use_lookup, self.bias_shift = bool(mode["use_lookup"]), mode["bias_shift"]
        if not 2 <= self.bits <= ACTIVATION_WIDTH:
            raise self.fail(f"MODE.bits must lie in 2..{ACTIVATION_WIDTH}, got {self.bits}")
        end = self._formats.token_list.unpack(register[Control.END_LIST])
        credit = self._formats.token_list.unpack(register[Control.CREDIT_LIST])
        self.end_list = range(end["start"], end["start"] + end["count"])
        self.credit_list = range(credit["start"], credit["start"] + credit["count"])

    def _read_tables(self) -> None:
        axons = self._words(Memory.AXON)
        n_axons = len(axons["tail"])
        self.axons = [
            Axon(**{field: int(values[a]) for field, values in axons.items()})
            for a in range(n_axons)
        ]
        self.tables = {
            memory: Table(memory.name, **self._words(memory))
            for memory in (Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X)
        }
        weight = self._words(Memory.WEIGHT)
        columns = [weight[f"w{i}"] for i in range(self.params.lanes)]
        self.weights = wrap(np.stack(columns, axis=1), WEIGHT_WIDTH)

    def _read_sweep(self) -> None:
        sweep = self._words(Memory.SWEEP)
        if len(sweep["acc"]) < self.n_sweep:
            raise self.fail(
                f"N_SWEEP is {self.n_sweep}, SWEEP has {len(sweep['acc'])} words in use"
            )
        sweep = {field: values[: self.n_sweep] for field, values in sweep.items()}
        self.sweep_acc, self.sweep_block = sweep["acc"], sweep["block"]
        first, last = sweep["first"].astype(bool), sweep["last"].astype(bool)
        if self.n_sweep and not (first[0] and last[-1] and np.array_equal(first[1:], last[:-1])):
            raise self.fail("SWEEP: every window must begin with first and end with last")
        self.window_starts = np.flatnonzero(first)
        if len(self.window_starts) != self.n_fire:
            raise self.fail(
                f"N_FIRE must be the sweep's {len(self.window_starts)} windows, got {self.n_fire}"
            )
        self._check_clearing(sweep["clear"].astype(bool))
        requant = self._words(Memory.REQUANT)
        parts = [
            self._formats.requant_lane.unpack(requant[f"lane{i}"])
            for i in range(self.params.soma_lanes)
        ]
        n_words = len(requant["lane0"])
        n_blocks = n_words // self.params.n_groups
        if n_words % self.params.n_groups:
            raise self.fail(
                f"REQUANT must hold {self.params.n_groups} words a block, got {n_words} words"
            )
        if self.n_sweep and self.sweep_block.max() >= n_blocks:
            raise self.fail(
                f"SWEEP.block must lie in the {n_blocks} blocks of REQUANT, "
                f"got {self.sweep_block.max()}"
            )

        def lanes(field: str) -> Int64Array:
            stacked = np.stack([part[field] for part in parts], axis=1)
            return stacked.reshape(n_blocks, self.params.lanes)

        self.bias = wrap(lanes("bias"), BIAS_WIDTH)
        self.shift = lanes("shift")
        multiplier = lanes("multiplier")
        self.multiplier = multiplier if self.params.multipliers else np.ones_like(multiplier)
        self._read_lookup()

    def _check_clearing(self, clear: NDArray[np.bool_]) -> None:
        """Every swept word is cleared by its last reading and not before."""
        if self.n_sweep and self.sweep_acc.max() >= self.params.n_acc_words:
            raise self.fail(
                f"SWEEP.acc must be below {self.params.n_acc_words}, got {self.sweep_acc.max()}"
            )
        is_last = np.zeros(self.n_sweep, bool)
        last_reading = {int(word): e for e, word in enumerate(self.sweep_acc)}
        is_last[list(last_reading.values())] = True
        wrong = np.flatnonzero(clear != is_last)
        if wrong.size:
            e = int(wrong[0])
            what = "cleared before its last reading" if clear[e] else "left uncleared"
            raise self.fail(f"SWEEP entry {e}: accumulator word {self.sweep_acc[e]} is {what}")
        self.is_swept = np.zeros(self.params.n_acc_words, bool)
        self.is_swept[self.sweep_acc] = True

    def _read_lookup(self) -> None:
        self.lookup: Int64Array | None = None
        if not self.use_lookup:
            return
        entries = self._words(Memory.LOOKUP)["value"][: 1 << self.bits]
        if self.is_signed:
            entries = wrap(entries, ACTIVATION_WIDTH)
        low, high = limits(self.bits, self.is_signed)
        if len(entries) < 1 << self.bits:
            raise self.fail(f"LOOKUP must hold {1 << self.bits} words, got {len(entries)}")
        if entries.min() < low or entries.max() > high:
            raise self.fail(
                f"LOOKUP entries must lie in {low}..{high} for {self.bits} bits, "
                f"got {entries.min()}..{entries.max()}"
            )
        self.lookup = entries

    def _read_fire(self) -> None:
        fire = self._words(Memory.FIRE)
        if len(fire["block"]) < self.n_fire:
            raise self.fail(f"N_FIRE is {self.n_fire}, FIRE has {len(fire['block'])} words in use")
        fire = {field: values[: self.n_fire] for field, values in fire.items()}
        self.fire_c = fire["block"] * self.params.lanes
        self.fire_y, self.fire_x = fire["y"], fire["x"]
        self.fire_start, self.fire_count = fire["start"], fire["count"]
        table = self._words(Memory.DESTINATION)
        rows = zip(*(table[f].tolist() for f in ("x0", "y0", "x1", "y1", "axon")), strict=True)
        self.destinations = [((x0, y0, x1, y1), axon) for x0, y0, x1, y1, axon in rows]
        end = max(
            int((self.fire_start + self.fire_count).max(initial=0)),
            self.end_list.stop if self.end_list else 0,
            self.credit_list.stop if self.credit_list else 0,
        )
        if end > len(self.destinations):
            raise self.fail(
                f"lists reach up to entry {end - 1} of DESTINATION, "
                f"which has {len(self.destinations)} words in use"
            )

    # Execution ----------------------------------------------------------------------------------
    def finish(self, z: Int64Array) -> Int64Array:
        """The soma's sweep: potentials (N, n_acc_words, lanes) to activations (N, n_fire, lanes).

        Per entry :func:`golden.fixed.requantize`, the lookup, and the maximum over the window.
        """
        if not self.n_fire:
            return np.zeros((len(z), 0, self.params.lanes), np.int64)
        block = self.sweep_block
        q = requantize(
            z[:, self.sweep_acc], self.bias[block], self.multiplier[block], self.shift[block],
            self.bias_shift, self.bits, self.is_signed,
        )  # fmt: skip
        if self.lookup is not None:
            q = self.lookup[q & ((1 << self.bits) - 1)]
        return np.maximum.reduceat(q, self.window_starts, axis=1)


@dataclass(frozen=True)
class Delivery:
    """Activation words of one source (a core, or the host) that reach one axon of a core.

    ``words`` index the source's activation words; ``c``, ``y``, ``x`` are their coordinates (the
    channel of the first lane); lanes from channel ``n_channels`` on belong to no neuron.
    """

    source: int
    where: str
    bits: int
    is_signed: bool
    n_channels: int
    lanes: int
    words: Int64Array
    c: Int64Array
    y: Int64Array
    x: Int64Array


@dataclass(frozen=True)
class _Step:
    """One matrix product: the same weight rows for several source positions."""

    positions: Int64Array
    channels: Int64Array
    matrix: Float64Array  # (channels, blocks * lanes)
    acc: Int64Array  # (positions * blocks,)
    is_distinct: bool


class AxonPlan:
    """What the spikes of one axon do in a core, worked out once from descriptor and tables.

    ``operations`` and ``sops`` say, per source position and channel, what one spike costs.
    """

    def __init__(self, core: Core, axon: int, deliveries: Sequence[Delivery]):
        self.core = core
        self.where = f"{core.where}, axon {axon}"
        if axon >= len(core.axons):
            raise ValueError(
                f"{self.where}: {deliveries[0].where} sends spikes there, "
                f"the core has {len(core.axons)} axons"
            )
        self.descriptor = core.axons[axon]
        self._place(deliveries)
        self._walks()

    def _place(self, deliveries: Sequence[Delivery]) -> None:
        """Positions and channels of the source population that arrive, each exactly once."""
        d = self.descriptor
        trains = {(delivery.bits, delivery.is_signed) for delivery in deliveries}
        if len(trains) != 1:
            raise ValueError(f"{self.where}: sources fire different trains {sorted(trains)}")
        bits, is_signed = trains.pop()
        self.bits = bits
        self.shift = d.shift0 - (bits - 1)
        if self.shift < 0:
            raise ValueError(
                f"{self.where}: shift0 must be at least {bits - 1} for trains of {bits} steps, "
                f"got {d.shift0}"
            )
        if bool(d.is_signed) != is_signed:
            raise ValueError(
                f"{self.where}: is_signed is {d.is_signed}, {deliveries[0].where} fires "
                f"{'signed' if is_signed else 'unsigned'} values"
            )
        n_x = 1 << self.core.params.x_width
        keys = np.unique(np.concatenate([v.y * n_x + v.x for v in deliveries]))
        self.y, self.x = keys // n_x, keys % n_x
        self.c_low = int(min(v.c.min() for v in deliveries))
        c_high = max(int((np.minimum(v.c + v.lanes, v.n_channels)).max()) for v in deliveries)
        self.channels = np.arange(self.c_low, c_high)
        arrivals = np.zeros((len(keys), len(self.channels)), np.int64)
        # (source, words, positions, first channel, lanes): how to gather a batch's values.
        self.gather: list[tuple[int, Int64Array, Int64Array, int, int]] = []
        for v in deliveries:
            position = np.searchsorted(keys, v.y * n_x + v.x)
            for c in np.unique(v.c).tolist():
                chosen = v.c == c
                n_lanes = min(v.lanes, v.n_channels - c)
                if n_lanes <= 0:
                    continue
                part = (v.source, v.words[chosen], position[chosen], c - self.c_low, n_lanes)
                self.gather.append(part)
                np.add.at(arrivals, (part[2][:, None], part[3] + np.arange(n_lanes)[None]), 1)
        if arrivals.size and arrivals.max() > 1:
            p, c = np.argwhere(arrivals > 1)[0]
            raise ValueError(
                f"{self.where}: neuron c {self.channels[c]}, y {self.y[p]}, x {self.x[p]} of "
                f"{deliveries[0].where.split(' of ')[-1]} arrives {arrivals[p, c]} times; "
                "a spike must come once"
            )
        self.arrives = arrivals.astype(bool)

    def _entries(self, memory: Memory, base: int, coordinates: Int64Array, size: int) -> Table:
        """Table words of ``coordinates``."""
        table = self.core.tables[memory]
        index = (base + coordinates) % size
        bad = np.flatnonzero(index >= len(table.count))
        if bad.size:
            raise ValueError(
                f"{self.where}: coordinate {coordinates[bad[0]]} needs word {index[bad[0]]} of "
                f"{table.name}, which has {len(table.count)} words in use"
            )
        return Table(table.name, table.acc[index], table.weight[index], table.count[index])

    def _walks(self) -> None:
        d, p = self.descriptor, self.core.params
        used = self.arrives.any(axis=0)
        # Channels that never arrive get no entry: they could lie beyond the table.
        self.channels = self.channels[used]
        self._column = np.cumsum(used) - 1
        self.arrives = self.arrives[:, used]
        entry_c = self._entries(Memory.TABLE_C, d.c_base, self.channels, p.n_table_c)
        entry_y = self._entries(Memory.TABLE_Y, d.y_base, self.y, p.n_table_y)
        entry_x = self._entries(Memory.TABLE_X, d.x_base, self.x, p.n_table_x)
        n_taps = entry_y.count * entry_x.count
        per_walk = np.where(entry_c.count > 0, (entry_c.count - 1) * p.lanes + d.tail + 1, 0)
        self.taps, self.blocks, self.lanes_per_tap = n_taps, entry_c.count, per_walk

        # Every tap of every position: (position, accumulator offset, weight offset).
        position = np.repeat(np.arange(len(self.y)), n_taps)
        order = np.arange(len(position)) - np.repeat(np.cumsum(n_taps) - n_taps, n_taps)
        columns = entry_x.count[position]
        j, i = order // np.maximum(columns, 1), order % np.maximum(columns, 1)
        acc = entry_y.acc[position] + entry_x.acc[position] + j * d.y_acc_step + i * d.x_acc_step
        weight = (
            entry_y.weight[position] + entry_x.weight[position]
            + j * d.y_weight_step + i * d.x_weight_step
        ) % (1 << p.weight_address_width)  # fmt: skip
        by_weight = np.argsort(weight, kind="stable")
        borders = np.flatnonzero(np.diff(weight[by_weight])) + 1
        groups = np.unique(np.stack([entry_c.acc, entry_c.count]), axis=1).T.tolist()
        self.steps: list[_Step] = []
        for taps in np.split(by_weight, borders):
            for acc_c, count in groups:
                if not count or not len(taps):
                    continue
                chosen = np.flatnonzero((entry_c.acc == acc_c) & (entry_c.count == count))
                first = entry_c.weight[chosen] + weight[taps[0]]
                self._add_step(position[taps], acc[taps] + acc_c, chosen, first, count)

    def _add_step(
        self,
        positions: Int64Array,
        acc: Int64Array,
        channels: Int64Array,
        weight: Int64Array,
        count: int,
    ) -> None:
        core, p = self.core, self.core.params
        run = np.arange(count)
        arrive = self.arrives[np.ix_(positions, channels)]
        kept = arrive.any(axis=0)
        channels, weight = channels[kept], weight[kept]
        positions, acc = positions[arrive.any(axis=1)], acc[arrive.any(axis=1)]
        if not len(channels):
            return
        rows = (weight[:, None] + run) % (1 << p.weight_address_width)
        if rows.max() >= len(core.weights):
            raise ValueError(
                f"{self.where}: walks reach weight word {rows.max()}, "
                f"WEIGHT has {len(core.weights)} words in use"
            )
        target = ((acc[:, None] + run) % (1 << p.acc_address_width)).reshape(-1)
        stray = target[(target >= p.n_acc_words) | ~core.is_swept[target % p.n_acc_words]]
        if stray.size:
            raise ValueError(
                f"{self.where}: walks reach accumulator word {stray[0]}, which is never swept"
            )
        matrix = core.weights[rows].reshape(len(channels), -1) * float(1 << self.shift)
        distinct = len(np.unique(target)) == len(target)
        self.steps.append(_Step(positions, channels, matrix, target, distinct))

    # Execution ----------------------------------------------------------------------------------
    def collect(self, fired: dict[int, Int64Array]) -> Int64Array:
        """Values (N, positions, channels) of the source neurons; zero where none arrives."""
        n = len(next(iter(fired.values())))
        x = np.zeros((n, len(self.y), len(self.channels)), np.int64)
        for source, words, positions, c, n_lanes in self.gather:
            column = int(self._column[c])
            x[:, positions, column : column + n_lanes] = fired[source][:, words, :n_lanes]
        return x

    def accumulate(self, x: Int64Array, z: Float64Array) -> None:
        """Add to potentials z (N, n_acc_words, lanes) what the values x (see ``collect``) add."""
        n, _, lanes = z.shape
        values = x.astype(np.float64)
        n_channels = values.shape[2]
        for step in self.steps:
            part = values[:, step.positions]
            if len(step.channels) != n_channels:
                part = part[:, :, step.channels]
            product = (part.reshape(-1, part.shape[2]) @ step.matrix).reshape(n, -1, lanes)
            if step.is_distinct:
                z[:, step.acc] += product
            else:
                np.add.at(z.transpose(1, 0, 2), step.acc, product.transpose(1, 0, 2))

    def costs(self, spikes: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Spikes in, operations and SOPs (N,) of spike counts (N, positions, channels)."""
        by_channel = np.einsum("npc,p->nc", spikes, self.taps)
        return spikes.sum(axis=(1, 2)), by_channel @ self.blocks, by_channel @ self.lanes_per_tap
