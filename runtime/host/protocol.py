# SPDX-License-Identifier: Apache-2.0
"""The host's side of a run, one flit at a time, for engines whose clock Python drives."""

import math
import operator
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import ALERT, Formats, Kind, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.tokens import Sink, Source
from stemcore.golden.spec.widths import CHUNK_WIDTH

from .flits import Host

CHUNK_MASK = (1 << CHUNK_WIDTH) - 1


class Protocol:
    """Plays the host: sends configuration, samples and CREDITs; collects the output's spikes.

    Ask :meth:`offer` in every cycle, call :meth:`taken` when the offered flit was accepted, and
    :meth:`receive` for every flit that comes out. ``configure``: the memories are to be written
    first.

    Attributes
    ----------
    samples_done : int
    replies : list[int]
        Answers to READ.
    alerts : list[int]
        First errors of cores: words of ``Formats.errors``.
    output : Recorder
        Of the populations that the host receives.
    """

    def __init__(self, program: Program, images: NDArray[np.integer], *, configure: bool = True):
        host = Host(program)
        self.program = program
        populations = program.output_populations
        self.output = Recorder(
            Formats(program.params),
            populations,
            len(images),
            program.output_ends * program.tokens_per_sample(populations[0]),
        )
        self._source = Source(program.input_credits)
        self._sink = Sink(program.output_ends)
        self.replies: list[int] = []
        self.alerts: list[int] = []
        self._raw: deque[int] = deque()
        for core in program.cores if configure else ():
            self._raw.extend(host.configuration(core).tolist())
        for core in program.cores:
            self._raw.extend(host.start(core).tolist())
        self._tokens: deque[int] = deque(host.credits().tolist())
        self._credit_flits = host.credits().tolist()
        # Token periods: what CREDITs permit together.
        self._parts = deque(deque(part.tolist()) for image in images for part in host.parts(image))
        self._offered: deque[int] | None = None
        self._formats = Formats(program.params)
        self._kind = next((p, w) for field, p, w in self._formats.flit if field == "kind")

    def send(self, flits: Sequence[int]) -> None:
        """Queues more flits, for example READs."""
        self._raw.extend(flits)

    @property
    def samples_done(self) -> int:
        """Samples that have come out."""
        return self.output.sample

    @property
    def values(self) -> NDArray[np.int64]:
        """Integers that have come out (N, C, H, W); of several populations (N, E, 1, 1)."""
        return self.output.values

    def offer(self) -> int | None:
        """The flit that the host offers in this cycle, the same one until it is taken."""
        if self._offered is None:
            if self._raw:
                self._offered = self._raw
            elif self._tokens:
                self._offered = self._tokens
            elif self._parts and self._source.may_send:
                self._offered = self._parts[0]
        return self._offered[0] if self._offered is not None else None

    def taken(self) -> None:
        """The offered flit was accepted."""
        assert self._offered is not None
        queue, self._offered = self._offered, None
        queue.popleft()
        if self._parts and queue is self._parts[0]:
            if not self._source.is_sending:
                self._source.begin()
            if not queue:
                self._parts.popleft()
                self._source.finish()

    def receive(self, flit: int) -> None:
        """A flit has come out of the chip."""
        position, width = self._kind
        kind = (flit >> position) & ((1 << width) - 1)
        if kind == Kind.CREDIT:
            self._source.credit()
        elif kind == Kind.PACE:
            spike = self._formats.spike.unpack(self._formats.flit.unpack(flit)["payload"])
            self._source.pace(bool(spike["t"]))
        elif kind == ALERT:
            self.alerts.append(self._formats.flit.unpack(flit)["payload"] & CHUNK_MASK)
        elif kind == Kind.DATA:
            self.replies.append(self._formats.flit.unpack(flit)["payload"] & CHUNK_MASK)
        else:
            self.output.see(flit)
            if kind == Kind.END and self._sink.end():
                self._tokens.extend(self._credit_flits)


class Recorder:
    """Collects what a core fires, or what the host receives.

    The populations are those that the axon of a spike numbers; of a core, all axons mean its own.

    Attributes
    ----------
    values : int64 array (N, C, H, W), of several populations (N, E, 1, 1)
        See :mod:`stemcore.golden.network.results`.
    sample : int
        Samples completed by END.
    ends : int
        ENDs of the sample that is not complete.
    """

    def __init__(
        self,
        formats: Formats,
        populations: Sequence[Population],
        n_samples: int,
        ends_per_sample: int,
        values: NDArray[np.int64] | None = None,
    ):
        self.formats = formats
        self._populations = tuple(populations)
        sizes = [math.prod(population.shape) for population in populations]
        self._starts = (0, *accumulate(sizes))
        self._ends_per_sample = ends_per_sample
        self.ends = 0
        self.sample = 0
        shape = populations[0].shape if len(sizes) == 1 else (sum(sizes), 1, 1)
        self.values = np.zeros((n_samples, *shape), np.int64) if values is None else values
        self._flat = self.values.reshape(n_samples, sum(sizes))
        assert np.shares_memory(self._flat, self.values) or not self.values.size

    def see(self, flit: int) -> bool:
        """Takes note of a SPIKE or END; True when it completed a sample."""
        fields = self.formats.flit.unpack(flit)
        if fields["kind"] == Kind.SPIKE:
            spike = self.formats.spike.unpack(fields["payload"])
            number = spike["axon"] if len(self._populations) > 1 else 0
            where = spike["c"], spike["y"], spike["x"]
            shapes = [population.shape for population in self._populations]
            if number >= len(shapes) or any(map(operator.ge, where, shapes[number])):
                raise ValueError(
                    f"host: a spike must be of a neuron of its layer, got axon {number}, channel "
                    f"{where[0]}, row {where[1]}, column {where[2]}; layers have {shapes}"
                )
            population = self._populations[number]
            place = np.ravel_multi_index(where, population.shape)
            weight = population.code.weight(spike["t"])
            # Several destinations see the same spike: it counts once.
            index = (self.sample, self._starts[number] + int(place))
            if not (int(self._flat[index]) & (abs(weight))):
                self._flat[index] += weight
        elif fields["kind"] == Kind.END:
            self.ends += 1
            if self.ends == self._ends_per_sample:
                self.ends = 0
                self.sample += 1
                return True
        return False


def core_recorders(program: Program, n_samples: int) -> dict[tuple[int, int], Recorder]:
    """A recorder for every core; cores of one layer share one array of values."""
    formats = Formats(program.params)
    populations = {layer.population.name: layer.population for layer in program.layers}
    values = {
        name: np.zeros((n_samples, *population.shape), np.int64)
        for name, population in populations.items()
    }
    recorders = {}
    for core in program.cores:
        word = int(core.memories[Memory.CONTROL][Control.END_LIST].item())
        recorders[core.x, core.y] = Recorder(
            formats,
            [populations[core.layer]],
            n_samples,
            formats.token_list.unpack(word)["count"]
            * program.tokens_per_sample(populations[core.layer]),
            values[core.layer],
        )
    return recorders
