# SPDX-License-Identifier: Apache-2.0
"""What the spikes of one axon do in a core, as matrix products over batches of samples.

The loop nests of every source position are worked out once from the axon descriptor and the
coordinate tables. Spikes are then not played one by one (``stemcore.golden.reference.event_engine``
does that): since the accumulators wrap and every spike of time step t weighs ``2**(shift0 - t)``, a
source neuron of value x adds ``w x 2**h`` with ``h = shift0 - (T-1)`` wherever one of its spikes
adds w. Neuron models that do not shift a weight by its time step add ``w 2**shift0`` for the bit of
each step by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.fixed import Int64Array
from ..network.convolution import FLOAT32_BOUND, FloatArray
from ..spec.fields import Memory
from ..spec.neuron_model import TokenPeriod
from ..spec.spike_code import SpikeCode
from .core import Core, Table

Float64Array = NDArray[np.float64]


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
    matrix: FloatArray  # (channels, blocks * lanes), of a type in which the product is exact
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
        self._loop_nests()

    def _place(self, deliveries: Sequence[Delivery]) -> None:
        """Positions and channels of the source population that arrive, each exactly once."""
        d = self.descriptor
        trains = {(delivery.bits, delivery.is_signed) for delivery in deliveries}
        if len(trains) != 1:
            raise ValueError(f"{self.where}: sources fire different trains {sorted(trains)}")
        bits, is_signed = trains.pop()
        self.bits = bits
        model = self.core.params.model
        if model.tokens_per_sample(bits) != self.core.n_periods:
            raise ValueError(
                f"{self.where}: INTEGRATION.steps must be the {bits} time steps that "
                f"{deliveries[0].where} fires, got {self.core.n_periods}"
            )
        self.code = SpikeCode(bits, is_signed)
        least = model.first_shift(0, bits)
        self.shift = d.shift0 - least
        if self.shift < 0:
            raise ValueError(
                f"{self.where}: shift0 must be at least {least} for trains of {bits} steps, "
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

    def _loop_nests(self) -> None:
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
        per_nest = np.where(entry_c.count > 0, (entry_c.count - 1) * p.lanes + d.tail + 1, 0)
        self.taps, self.blocks, self.lanes_per_tap = n_taps, entry_c.count, per_nest

        # Every tap of every position: (position, accumulator offset, weight offset).
        position = np.repeat(np.arange(len(self.y)), n_taps)
        order = np.arange(len(position)) - np.repeat(np.cumsum(n_taps) - n_taps, n_taps)
        columns = entry_x.count[position]
        j, i = order // np.maximum(columns, 1), order % np.maximum(columns, 1)
        acc = entry_y.acc[position] + entry_x.acc[position] + j * d.y_acc_step + i * d.x_acc_step
        weight = (
            entry_y.weight[position]
            + entry_x.weight[position]
            + j * d.y_weight_step
            + i * d.x_weight_step
        ) % (1 << p.weight_address_width)
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
                f"{self.where}: loop nests reach weight word {rows.max()}, "
                f"WEIGHT has {len(core.weights)} words in use"
            )
        target = ((acc[:, None] + run) % (1 << p.acc_address_width)).reshape(-1)
        stray = target[(target >= p.n_acc_words) | ~core.is_updated[target % p.n_acc_words]]
        if stray.size:
            raise ValueError(
                f"{self.where}: loop nests reach accumulator word {stray[0]}, "
                f"which is never updated"
            )
        words = core.weights[rows].reshape(len(channels), -1).astype(np.int64)
        bound = int(np.abs(words).sum(axis=0).max()) << self.bits
        dtype = np.float32 if bound < FLOAT32_BOUND else np.float64
        matrix = (words << self.shift).astype(dtype)
        distinct = len(np.unique(target)) == len(target)
        self.steps.append(_Step(positions, channels, matrix, target, distinct))

    # Execution ----------------------------------------------------------------------------------
    def collect(self, fired: Mapping[int, Int64Array]) -> Int64Array:
        """Values (N, positions, channels) of the source neurons; zero where none arrives."""
        n = len(next(iter(fired.values())))
        x = np.zeros((n, len(self.y), len(self.channels)), np.int64)
        for source, words, positions, c, n_lanes in self.gather:
            column = int(self._column[c])
            x[:, positions, column : column + n_lanes] = fired[source][:, words, :n_lanes]
        return x

    def part(self, x: Int64Array, t: int) -> Int64Array:
        """What of values x (see ``collect``) arrives in token period ``t``.

        All of them; or, of a time step, 0, 1 or -1.
        """
        if self.core.params.model.token_period is TokenPeriod.SAMPLE:
            return x
        return self.code.sign(t) * self.code.spike(x, t)

    def accumulate(self, x: Int64Array, z: Float64Array) -> None:
        """Add to potentials z (N, n_acc_words, lanes) what the values x (see ``collect``) add."""
        n, _, lanes = z.shape
        values = x.astype(np.float32)
        n_channels = values.shape[2]
        for step in self.steps:
            part = values[:, step.positions]
            if len(step.channels) != n_channels:
                part = part[:, :, step.channels]
            rows = part.reshape(-1, part.shape[2]).astype(step.matrix.dtype, copy=False)
            product = (rows @ step.matrix).reshape(n, -1, lanes)
            if step.is_distinct:
                z[:, step.acc] += product
            else:
                np.add.at(
                    z.transpose(1, 0, 2), step.acc, product.transpose(1, 0, 2).astype(z.dtype)
                )

    def costs(self, spikes: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Spikes in, operations and SOPs (N,) of spike counts (N, positions, channels)."""
        by_channel = np.einsum("npc,p->nc", spikes, self.taps)
        return spikes.sum(axis=(1, 2)), by_channel @ self.blocks, by_channel @ self.lanes_per_tap
