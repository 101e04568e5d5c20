# SPDX-License-Identifier: Apache-2.0
"""A program on a chip with fewer cores: every engine runs group after group of its cores.

The host keeps what a group fires for those that have it as a source, and sends it again as it sends
the network's input: spikes, END and CREDIT like any other source's. Each group is a program of its
own (:mod:`stemcore.compiler.virtual.chip`), so that an engine need not know of it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.virtual.chip import VirtualChip
from stemcore.compiler.virtual.parts import load_flits, load_words
from stemcore.compiler.virtual.times import token_flits
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.network import INPUT, Population
from stemcore.golden.network.results import join, part
from stemcore.golden.program.inputs import split_inputs
from stemcore.golden.program.program import Program
from stemcore.golden.reference.host_words import RouteNeurons
from stemcore.golden.spec.routing import Node

from ..progress import Progress
from .engine import ProgramEngine, RunOptions
from .result import GroupRun, RunResult, Timing, VirtualRun

Values = dict[str, NDArray[np.integer]]
# Counters that are not sums: whether something ever happened.
FLAGS = ("overflow",)


def run_virtual(
    engine: ProgramEngine,
    chip: VirtualChip,
    images: NDArray[np.integer],
    *,
    options: RunOptions,
) -> RunResult:
    """Run ``images`` (N, C, H, W) through all groups of ``chip``: the whole program's result.

    Counters are by the nodes of the whole program. Where the engine has a clock, cycles count from
    the first flit of configuration, each taking one, and groups follow each other: an image begins
    in the first group and ends in the last. ``RunResult.virtual`` has the groups one by one. An
    engine whose ``Timing.total`` leaves configuration out says in its notes how many cycles that
    its other times count came before (``load_cycles``).

    Raises ``ValueError`` for waves: cores share the nodes.
    """
    if options.waves_dir is not None:
        raise ValueError(
            "waves: must be left out where cores_on_chip is given, since cores take turns on the "
            "nodes; run the whole program for waves"
        )
    merged = _Merged(chip, engine.name, len(images))
    for start in range(0, len(images), chip.batch):
        _run_batch(engine, chip, images[start : start + chip.batch], start, merged, options)
    return merged.result()


def _run_batch(
    engine: ProgramEngine,
    chip: VirtualChip,
    images: NDArray[np.integer],
    first: int,
    merged: "_Merged",
    options: RunOptions,
) -> None:
    """All groups, each loaded once; spikes that no later group receives are dropped."""
    kept: Values = {INPUT: images}
    for number, group in enumerate(chip.parts):
        sent = join([kept[name] for name in group.inputs])
        own_progress = _share(options.progress, chip, number, first, len(images), merged.cycles)
        ran = engine.run(group.program, sent, options=replace(options, progress=own_progress))
        received = _received(group.program, ran)
        merged.add(number, first, sent, ran, received)
        needed = chip.needed_after(number)
        for population in group.program.output_populations:
            name = population.name
            if name in needed:
                own = received[name].astype(np.int8 if population.is_signed else np.uint8)
                kept[name] = kept[name] + own if name in kept else own
        kept = {name: values for name, values in kept.items() if name in needed}


def _received(program: Program, ran: RunResult) -> dict[str, NDArray[np.int64]]:
    shapes = {population.name: population.shape for population in program.output_populations}
    return {name: part(ran.outputs, shapes, name) for name in shapes}


def _share(
    progress: Progress | None,
    chip: VirtualChip,
    number: int,
    first: int,
    n_images: int,
    cycles: int,
) -> Progress | None:
    """Progress of a group as a part of the whole: images that are done in all groups so far."""
    if progress is None:
        return None
    report: Callable[[int, int], None] = progress

    def of_group(done: int, cycle: int) -> None:
        report(first + (number * n_images + done) // len(chip.parts), cycles + cycle)

    return of_group


class _Merged:
    """The result of the whole program, group by group and batch by batch."""

    def __init__(self, chip: VirtualChip, engine: str, n_images: int) -> None:
        self._chip, self._engine, self._n = chip, engine, n_images
        whole = chip.whole
        self._values = {
            info.population.name: np.zeros((n_images, *info.population.shape), np.int64)
            for info in whole.layers
        }
        self._outputs = [np.zeros((n_images, *p.shape), np.int64) for p in whole.output_populations]
        self._counters: dict[Node, dict[str, int]] = {}
        self._start: list[NDArray[np.int64]] = []
        self._end: list[NDArray[np.int64]] = []
        self._layer_ends: dict[str, NDArray[np.int64]] = {}
        self._groups = [_GroupSums(p.program) for p in chip.parts]
        self._has_clock = self._has_counters = True
        self._only_outputs = False
        self._build_s = self._wall_s = 0.0
        self._notes: dict[str, object] = {}
        self.cycles = 0

    def add(
        self,
        number: int,
        first: int,
        sent: NDArray[np.integer],
        ran: RunResult,
        received: Mapping[str, NDArray[np.int64]],
    ) -> None:
        """What a group made of the images from ``first`` on."""
        images = slice(first, first + len(sent))
        self._only_outputs |= ran.only_outputs
        for name, values in ran.values.items():
            self._values[name][images] += values
        for output, name in zip(self._outputs, self._chip.whole.output_layers, strict=True):
            if name in received:
                output[images] += received[name]
        self._count(number, ran)
        sums = self._groups[number]
        sums.add(sent, received)
        self._build_s, self._wall_s = self._build_s + ran.build_s, self._wall_s + ran.wall_s
        for name, note in ran.notes.items():
            before = self._notes.get(name, 0)
            if isinstance(note, int) and isinstance(before, int) and name != "threads":
                note = before + note
            self._notes[name] = note
        if ran.timing is None:
            self._has_clock = False
            return
        timing, base = ran.timing, self.cycles
        if isinstance(loaded := ran.notes.get("load_cycles"), int):
            # Memories may have been written past the mesh: on a chip each flit takes a cycle.
            self.cycles += sums.load
            base = self.cycles - loaded
        if number == 0 and len(timing.start):
            self._start.append(base + timing.start)
        if number == len(self._chip.parts) - 1:
            self._end.append(base + timing.end)
        for name, ends in timing.layer_ends.items():
            known = self._layer_ends.setdefault(name, np.zeros(self._n, np.int64))
            known[images] = np.maximum(known[images], base + ends)
        sums.cycles += timing.total
        self.cycles += timing.total

    def _count(self, number: int, ran: RunResult) -> None:
        if ran.counters is None:
            self._has_counters = False
            return
        group, whole = self._chip.parts[number], self._chip.whole
        for core, image in zip(group.cores, group.program.cores, strict=True):
            node = whole.cores[core].x, whole.cores[core].y
            of = self._counters.setdefault(node, defaultdict(int))
            for name, value in ran.counters[image.x, image.y].items():
                of[name] = max(of[name], value) if name in FLAGS else of[name] + value

    def result(self) -> RunResult:
        """Of all images."""
        timing = None
        if self._has_clock:
            nothing = [np.zeros(0, np.int64)]
            timing = Timing(
                start=np.concatenate(self._start or nothing),
                end=np.concatenate(self._end or nothing),
                layer_ends=self._layer_ends,
                total=self.cycles,
            )
        return RunResult(
            engine=self._engine,
            outputs=join(self._outputs),
            values={
                name: values
                for name, values in self._values.items()
                if not self._only_outputs or name in self._chip.whole.output_layers
            },
            only_outputs=self._only_outputs,
            counters=(
                {node: dict(of) for node, of in self._counters.items()}
                if self._has_counters
                else None
            ),
            timing=timing,
            build_s=self._build_s,
            wall_s=self._wall_s,
            notes=self._notes,
            virtual=VirtualRun(
                n_cores=self._chip.n_cores,
                mesh=self._chip.mesh,
                batch=min(self._chip.batch, max(1, self._n)),
                n_batches=-(-self._n // self._chip.batch),
                groups=tuple(
                    sums.run(len(p.cores), self._n, self._has_clock)
                    for p, sums in zip(self._chip.parts, self._groups, strict=True)
                ),
            ),
        )


class _GroupSums:
    """Flits between the host and a group, over all images."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._routes = [
            RouteNeurons(route, program.inputs[route.population].shape[0])
            for route in program.input_routes
        ]
        self._tokens = token_flits(program)
        self._layers = tuple(info.population.name for info in program.layers)
        self.load, self.load_words = load_flits(program), load_words(program)
        self.cycles = self._into = self._out = 0

    def add(self, sent: NDArray[np.integer], received: Mapping[str, NDArray[np.int64]]) -> None:
        """Counts what was sent and received: spikes and tokens."""
        program = self._program
        counts = [
            _counts(values, population)
            for values, population in zip(split_inputs(program, sent), program.inputs, strict=True)
        ]
        self._into += sum(int(route.total(counts).sum()) for route in self._routes)
        self._out += sum(
            int(_counts(received[population.name], population).sum())
            for population in program.output_populations
        )
        self._into += len(sent) * self._tokens[0]
        self._out += len(sent) * self._tokens[1]

    def run(self, n_cores: int, n_images: int, has_clock: bool) -> GroupRun:
        """Per image."""
        n = max(1, n_images)
        return GroupRun(
            cores=n_cores,
            layers=self._layers,
            load_flits=self.load,
            load_words=self.load_words,
            cycles=self.cycles / n if has_clock else None,
            flits_in=self._into / n,
            flits_out=self._out / n,
        )


def _counts(values: NDArray[np.integer], population: Population) -> NDArray[np.int64]:
    return count_spikes(values.astype(np.int64), population.bits)
