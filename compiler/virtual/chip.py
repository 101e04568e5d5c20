# SPDX-License-Identifier: Apache-2.0
"""A program of many cores on a chip of few: groups of cores, loaded one after the other.

Pure functions of the program. The groups run in their order; each is loaded once for a batch of
images, and the host keeps what it fires for the groups that have it as a source.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stemcore.golden.network.network import INPUT
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import Node

from ..activity import Activity
from ..assembly.destinations import DestinationsFullError
from ..errors import CompileError
from ..estimation.estimate import core_estimate, spikes_of
from ..estimation.flows import Flows
from ..estimation.pacing import set_gaps
from .core_graph import CoreGraph
from .core_groups import CoreWork, group_cores
from .parts import Part, load_flits, make_part

# Bytes of spikes that the host keeps between groups at most, unless one image needs more.
KEPT_BYTES = 1 << 30
# A batch is as large as makes loading this share of its work: larger ones gain next to nothing, and
# the first image's output waits for the last image of its batch.
LOAD_SHARE = 0.01


@dataclass(frozen=True)
class VirtualChip:
    """How a program runs on a chip of ``n_cores``.

    Attributes
    ----------
    whole : Program
    n_cores : int
        Of the chip.
    parts : tuple of Part
        Groups of cores, in the order in which they run; all cores of the program, each once.
    batch : int
        Images for which a group is loaded once, at most.
    """

    whole: Program
    n_cores: int
    parts: tuple[Part, ...]
    batch: int

    @property
    def mesh(self) -> tuple[int, int]:
        """Columns and rows of the chip."""
        return self.parts[0].program.columns, self.parts[0].program.rows

    def needed_after(self, number: int) -> frozenset[str]:
        """Populations that groups after group ``number`` have as sources."""
        return frozenset(name for part in self.parts[number + 1 :] for name in part.inputs)

    @property
    def kept_bytes(self) -> int:
        """Bytes of spikes that the host keeps of one image at most, a byte a neuron."""
        return max(_kept(self.whole, self.parts))


def virtual_chip(
    program: Program,
    n_cores: int,
    activity: Activity | None = None,
    *,
    batch: int | None = None,
) -> VirtualChip:
    """Cuts ``program`` into groups for a chip of ``n_cores``.

    activity : expected spikes (:mod:`stemcore.compiler.activity`), which decide where cuts go
    batch : images for which a group is loaded once; default: as many as make loading ``LOAD_SHARE``
        of the work, where ``KEPT_BYTES`` allow it

    Raises
    ------
    CompileError
        For a chip without cores, or of more than its nodes have coordinates for.
    """
    places = chip_places(n_cores, program.params, program.name)
    if program.is_part:
        raise CompileError(program.name, "must be a whole program, got a part", "cut the whole")
    graph, flows = CoreGraph(program), Flows(program)
    spikes = spikes_of(program, activity)
    loads = flows.loads(spikes)
    work = []
    for number, links in enumerate(graph.cores):
        fired = _word_spikes(flows, number, np.asarray(spikes[program.cores[number].layer]))
        sent = tuple(float(fired[run.words].sum()) for run in links.runs)
        work.append(CoreWork(core_estimate(flows, loads, number).busy, sent))
    groups, cycles = group_cores(graph, work, float(spikes[INPUT].sum()), n_cores)
    # Cores fire at the pace of the destinations that are there: the host's is a spike a cycle.
    parts = tuple(
        replace(part, program=set_gaps(part.program, activity))
        for group in groups
        for part in _parts(graph, group, places)
    )
    if batch is None:
        wanted = math.ceil(sum(load_flits(p.program) for p in parts) / (LOAD_SHARE * cycles))
        batch = max(1, min(wanted, KEPT_BYTES // max(_kept(program, parts))))
    return VirtualChip(program, n_cores, parts, batch)


def describe_chip(chip: VirtualChip) -> str:
    """One line: how cores take turns."""
    columns, rows = chip.mesh
    return (
        f"{len(chip.whole.cores)} cores on a chip of {chip.n_cores} ({columns} x {rows} nodes): "
        f"{len(chip.parts)} groups, each loaded once for up to {chip.batch:,} images"
    )


def chip_places(n_cores: int, params: ChipParams, name: str) -> tuple[Node, ...]:
    """Nodes (x, y) of a chip of ``n_cores``, row by row: as square as a full rectangle can be.

    Where coordinates do not reach for a full one (a prime number beyond them), its last row is not.
    """
    if n_cores < 1:
        raise CompileError(
            name,
            f"a chip must have 1 core or more, got {n_cores}",
            "give it one",
        )
    most = params.max_columns * params.max_rows
    if n_cores > most:
        raise CompileError(
            name,
            f"a chip of this preset must have at most {most} cores, got {n_cores}",
            "leave cores_on_chip out, or choose a preset with a larger coord_width",
        )
    narrowest = max(math.ceil(math.sqrt(n_cores)), math.ceil(n_cores / params.max_rows))
    full = (n for n in range(narrowest, params.max_columns + 1) if n_cores % n == 0)
    columns = next(full, min(narrowest, params.max_columns))
    return tuple((i % columns, 1 + i // columns) for i in range(n_cores))


def _word_spikes(flows: Flows, number: int, spikes: np.ndarray) -> np.ndarray:
    """Expected spikes (words,) of each activation word of a core."""
    lanes, fire = flows.program.params.lanes, flows.cores[number].fire
    padded = np.pad(spikes, ((0, -len(spikes) % lanes), (0, 0), (0, 0)))
    c = fire["block"][:, None] * lanes + np.arange(lanes)
    found: np.ndarray = padded[c, fire["y"][:, None], fire["x"][:, None]].sum(axis=1)
    return found


def _parts(graph: CoreGraph, group: tuple[int, ...], places: tuple[Node, ...]) -> Iterator[Part]:
    """The part of a group, or of its halves where a destination table is too small for it.

    A single core's always suffices: it sends to the host alone.
    """
    try:
        yield make_part(graph, group, places)
    except DestinationsFullError:
        if len(group) == 1:
            raise
        middle = len(group) // 2
        yield from _parts(graph, group[:middle], places)
        yield from _parts(graph, group[middle:], places)


def _kept(whole: Program, parts: tuple[Part, ...]) -> Iterator[int]:
    """Bytes of an image that are kept while each group runs: sources of it or of a later one."""
    size = {INPUT: math.prod(whole.input.shape)} | {
        info.population.name: math.prod(info.population.shape) for info in whole.layers
    }
    made = {INPUT}
    for number, part in enumerate(parts):
        made |= set(part.outputs)
        sources = {name for later in parts[number:] for name in later.inputs}
        yield sum(size[name] for name in made & sources) or 1
