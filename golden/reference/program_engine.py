# SPDX-License-Identifier: Apache-2.0
"""The program engine: memory images executed core by core, with the chip's counters.

Nothing is taken from a network: what is computed follows from the words of the memories, from
routes and tokens. Shapes in ``program.layers`` serve to put the results together and to check them.
Timing has no part in it, since results do not depend on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.fixed import Int64Array
from ..arithmetic.potentials import Potentials, update
from ..arithmetic.stem import count_spikes
from ..network.results import join
from ..program.inputs import input_values
from ..program.program import Program
from .core import Core
from .topology import HOST_ID, Topology

BATCH = 8  # images at a time: bounds memory
COUNTERS = ("sops", "ops", "spikes_in", "spikes_out", "fired", "hops")


@dataclass(frozen=True)
class ProgramResult:
    """What a program computes for N images.

    Attributes
    ----------
    outputs : int64 (N, C, H, W)
        Values that reach the host; of several layers flat, see ``golden/network/results.py``.
    values : dict of int64 (N, C, H, W)
        What every layer fires, after table and pooling, by layer name.
    counters : dict of int64 (N, n_cores)
        Cores in the program's order. ``sops``, ``spikes_in``, ``spikes_out``, ``fired``, ``hops``
        as the registers of :class:`stemcore.golden.spec.fields.Control` count them (``hops`` of
        nodes without a core are nobody's); ``ops``: operations of the dendrite, which are its busy
        cycles.
    input_spikes : int64 (N,)
        Packets that the host sends.
    """

    outputs: Int64Array
    values: dict[str, Int64Array]
    counters: dict[str, Int64Array]
    input_spikes: Int64Array

    def totals(self) -> dict[str, Int64Array]:
        """Counters summed over the images, (n_cores,): what the registers hold afterwards."""
        return {name: counts.sum(axis=0) for name, counts in self.counters.items()}


class Mesh:
    """A program made ready to run; worth keeping when it runs more than once."""

    def __init__(self, program: Program):
        self.program = program
        self.topology = Topology(program)

    def run(self, images: ArrayLike) -> ProgramResult:
        """:func:`run_program` with this mesh."""
        inputs = input_values(self.program, images)
        n = len(inputs[0])
        values = {
            name: np.zeros((n, *population.shape), np.int64)
            for name, population in self.topology.populations.items()
        }
        counters = {name: np.zeros((n, len(self.topology.cores)), np.int64) for name in COUNTERS}
        shapes = [population.shape for population in self.program.output_populations]
        outputs = [np.zeros((n, *shape), np.int64) for shape in shapes]
        for start in range(0, n, BATCH):
            part = slice(start, min(start + BATCH, n))
            sent = self.topology.host_words.values([array[part] for array in inputs])
            fired = self._run_batch(sent, {k: v[part] for k, v in counters.items()})
            for name, target in values.items():
                numbers = [
                    k for k, core in enumerate(self.topology.cores) if core.image.layer == name
                ]
                self._assemble(target[part], name, {k: self._all_words(k) for k in numbers}, fired)
            for axon, name in enumerate(self.program.output_layers):
                to_host = {
                    k: targets[HOST_ID, axon]
                    for k, targets in enumerate(self.topology.spike_targets)
                    if (HOST_ID, axon) in targets
                }
                self._assemble(outputs[axon][part], name, to_host, fired, once=True)
        spikes = [
            count_spikes(array.astype(np.int64), source.bits)
            for array, source in zip(inputs, self.program.inputs, strict=True)
        ]
        input_spikes = np.zeros(n, np.int64)
        for neurons, crossed in self.topology.input_hops:
            sent = neurons.total(spikes)
            input_spikes += sent
            counters["hops"] += sent[:, None] * crossed
        return ProgramResult(join(outputs), values, counters, input_spikes)

    def _all_words(self, number: int) -> Int64Array:
        return np.arange(self.topology.cores[number].n_fire)

    def _run_batch(
        self, sent: Int64Array, counters: dict[str, Int64Array]
    ) -> dict[int, Int64Array]:
        """What every core fires, of words ``sent`` by the host (N, words, lanes)."""
        n = len(sent)
        fired: dict[int, Int64Array] = {HOST_ID: sent}
        for number in self.topology.order:
            core = self.topology.cores[number]
            arriving = [plan.collect(fired) for plan in self.topology.plans[number]]
            for plan, x in zip(self.topology.plans[number], arriving, strict=True):
                costs = plan.costs(count_spikes(x, plan.bits))
                for name, cost in zip(("spikes_in", "ops", "sops"), costs, strict=True):
                    counters[name][:, number] += cost
            activations = core.finish(self._potentials(number, arriving, n))
            fired[number] = activations
            spikes = count_spikes(activations, core.bits).sum(axis=2)
            counters["fired"][:, number] = spikes.sum(axis=1)
            counters["spikes_out"][:, number] = spikes @ core.fire_count
            for words, crossed in self.topology.hops[number]:
                counters["hops"] += spikes[:, words].sum(axis=1)[:, None] * crossed
        return fired

    def _potentials(self, number: int, arriving: list[Int64Array], n: int) -> Int64Array:
        """What the soma finishes: potentials of ``n`` samples after their last token period."""
        core, plans = self.topology.cores[number], self.topology.plans[number]
        v: Potentials | None = None
        for t in range(core.n_periods):
            sums = np.zeros((n, core.params.n_acc_words, core.params.lanes))
            for plan, x in zip(plans, arriving, strict=True):
                plan.accumulate(plan.part(x, t), sums)
            self._check_sums(core, sums)
            v = update(core.neuron, v, sums, t, core.n_periods)
        assert v is not None
        return v.astype(np.int64)

    def _check_sums(self, core: Core, sums: NDArray[np.float64]) -> None:
        half = 1 << (core.params.acc_width - 1)
        if sums.min() < -half or sums.max() >= half:
            raise core.fail(
                f"sums of a {core.params.model.token_period.value} must fit in "
                f"{core.params.acc_width} signed bits, reached {int(sums.min())}.."
                f"{int(sums.max())}; the layer needs smaller weights or a wider accumulator"
            )

    def _assemble(
        self,
        target: Int64Array,
        name: str,
        words: Mapping[int, Int64Array],
        fired: Mapping[int, Int64Array],
        once: bool = False,
    ) -> None:
        """Put activation words where their coordinates say; every neuron must be there."""
        channels, height, width = self.topology.populations[name].shape
        count = np.zeros((channels, height, width), np.int64)
        pieces = []
        for number, chosen in words.items():
            core = self.topology.cores[number]
            if core.image.layer != name:
                raise core.fail(f"spikes reach the host, which listens to {name}")
            y, x = core.fire_y[chosen], core.fire_x[chosen]
            if len(chosen) and (y.max() >= height or x.max() >= width):
                raise core.fail(f"FIRE coordinates must lie in {height} x {width} positions")
            values = fired[number][:, chosen]
            c = core.fire_c[chosen][:, None] + np.arange(core.params.lanes)
            real = c < channels
            if values[:, ~real].any():
                word, lane = np.argwhere(~real & values.any(axis=0))[0]
                raise core.fail(
                    f"lane {lane} of word {chosen[word]} fires as channel {c[word, lane]}, "
                    f"{name} has {channels}; idle lanes must stay silent"
                )
            word, lane = np.nonzero(real)
            place = (c[word, lane], y[word], x[word])
            np.add.at(count, place, 1)
            pieces.append((core, place, values[:, word, lane]))
            target[(slice(None), *place)] = pieces[-1][2]
        if not count.all() and not self.program.is_part:
            c0, y0, x0 = np.argwhere(count == 0)[0]
            raise ValueError(
                f"{self.program.name}: no core fires neuron c {c0}, y {y0}, x {x0} of {name}"
                + (" to the host" if once else "")
            )
        if once and count.max() > 1:
            c0, y0, x0 = np.argwhere(count > 1)[0]
            raise ValueError(
                f"{self.program.name}: neuron c {c0}, y {y0}, x {x0} of {name} reaches the host "
                f"{count.max()} times"
            )
        for core, place, part in pieces if count.max() > 1 else ():
            if not np.array_equal(target[(slice(None), *place)], part):
                raise core.fail(f"another core computes the same neurons of {name} differently")


def run_program(program: Program, images: ArrayLike) -> ProgramResult:
    """Execute memory images core by core for integer images (N, C, H, W).

    Raises ``ValueError`` where the program contradicts itself: packets to nodes without a core or
    axons without a descriptor, token counts that do not match, loop nests beyond the words in use
    or onto accumulators never updated, neurons that arrive twice or never, lanes that fire without
    a neuron; and where a membrane potential leaves the accumulator.
    """
    return Mesh(program).run(images)
