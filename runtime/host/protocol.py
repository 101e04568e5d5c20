# SPDX-License-Identifier: Apache-2.0
"""The host's side of a run, one flit at a time, for engines whose clock Python drives."""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Control, Formats, Kind, Memory

from .flits import Host


class Protocol:
    """Plays the host: sends configuration, samples and CREDITs; collects the output's spikes.

    Ask :meth:`offer` in every cycle, call :meth:`taken` when the offered flit was accepted, and
    :meth:`receive` for every flit that comes out.

    Attributes
    ----------
    samples_done : int
    replies : list[int]
        Answers to READ.
    output : Recorder
        Of the output population.
    """

    def __init__(self, program: Program, images: NDArray[np.integer]):
        host = Host(program)
        self.program = program
        population = output_population(program)
        self.output = Recorder(
            Formats(program.params),
            population,
            len(images),
            program.output_ends * tokens_per_sample(program, population),
        )
        self._ends_per_grant = program.output_ends
        self.replies: list[int] = []
        self._raw: deque[int] = deque()
        for core in program.cores:
            self._raw.extend(host.configuration(core).tolist())
        for core in program.cores:
            self._raw.extend(host.start(core).tolist())
        self._tokens: deque[int] = deque(host.credits().tolist())
        self._credit_flits = host.credits().tolist()
        # What CREDITs permit together: samples, or time steps.
        self._parts = deque(deque(part.tolist()) for image in images for part in host.parts(image))
        self._under_way = False
        self._credits = 0
        self._holding = 0  # cores that asked to hold spikes for now
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

    def offer(self) -> int | None:
        """The flit that the host offers in this cycle, the same one until it is taken."""
        if self._offered is None:
            if self._raw:
                self._offered = self._raw
            elif self._tokens:
                self._offered = self._tokens
            elif (
                self._parts
                and not self._holding
                and (self._under_way or self._credits >= self.program.input_credits)
            ):
                self._offered = self._parts[0]
        return self._offered[0] if self._offered is not None else None

    def taken(self) -> None:
        """The offered flit was accepted."""
        assert self._offered is not None
        queue, self._offered = self._offered, None
        queue.popleft()
        if self._parts and queue is self._parts[0]:
            if not self._under_way:
                self._under_way = True
                self._credits -= self.program.input_credits
            if not queue:
                self._parts.popleft()
                self._under_way = False

    def receive(self, flit: int) -> None:
        """A flit has come out of the chip."""
        position, width = self._kind
        kind = (flit >> position) & ((1 << width) - 1)
        if kind == Kind.CREDIT:
            self._credits += 1
        elif kind == Kind.PACE:
            spike = self._formats.spike.unpack(self._formats.flit.unpack(flit)["payload"])
            self._holding += 1 if spike["t"] else -1
        elif kind == Kind.DATA:
            self.replies.append(self._formats.flit.unpack(flit)["payload"] & 0xFFFFFFFF)
        else:
            self.output.see(flit)
            if kind == Kind.END and self.output.ends % self._ends_per_grant == 0:
                self._tokens.extend(self._credit_flits)


class Recorder:
    """Collects what a core (or the output at the host's end) fires.

    Attributes
    ----------
    values : int64 array (N, C, H, W)
    sample : int
        Samples completed by END.
    ends : int
        ENDs of the sample that is not complete.
    """

    def __init__(
        self,
        formats: Formats,
        population: Population,
        n_samples: int,
        ends_per_sample: int,
        values: NDArray[np.int64] | None = None,
    ):
        self.formats = formats
        self._population = population
        self._ends_per_sample = ends_per_sample
        self.ends = 0
        self.sample = 0
        shape = (n_samples, *population.shape)
        self.values = np.zeros(shape, np.int64) if values is None else values

    def see(self, flit: int) -> bool:
        """Takes note of a SPIKE or END; True when it completed a sample."""
        fields = self.formats.flit.unpack(flit)
        if fields["kind"] == Kind.SPIKE:
            spike = self.formats.spike.unpack(fields["payload"])
            population = self._population
            weight = 1 << (population.bits - 1 - spike["t"])
            if population.is_signed and spike["t"] == 0:
                weight = -weight
            # Several destinations see the same spike: it counts once.
            index = (self.sample, spike["c"], spike["y"], spike["x"])
            if not (int(self.values[index]) & (abs(weight))):
                self.values[index] += weight
        elif fields["kind"] == Kind.END:
            self.ends += 1
            if self.ends == self._ends_per_sample:
                self.ends = 0
                self.sample += 1
                return True
        return False


def tokens_per_sample(program: Program, population: Population) -> int:
    """ENDs of a sample to each destination: one, or one per time step of the population."""
    return population.bits if program.params.is_stepped else 1


def output_population(program: Program) -> Population:
    """The population whose spikes go to the host."""
    return next(
        layer.population for layer in program.layers if layer.population.name == program.output
    )


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
            populations[core.layer],
            n_samples,
            formats.token_list.unpack(word)["count"]
            * tokens_per_sample(program, populations[core.layer]),
            values[core.layer],
        )
    return recorders
