# SPDX-License-Identifier: Apache-2.0
"""What a program takes on the chip, from expected spikes alone: nothing is simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemcore.compiler.activity import Activity
from stemcore.compiler.estimation.estimate import Estimate, estimate
from stemcore.compiler.virtual.chip import VirtualChip, describe_chip
from stemcore.compiler.virtual.times import VirtualTimes, estimate_virtual
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats, Memory

from .report.energy import energy_figures, energy_text
from .report.figures import CLOCK_HZ, images_per_second, rate_text, size_figures


@dataclass(frozen=True)
class MemoryUse:
    """Bits of one kind of memory, over all cores in use: words that are written, and all there are.

    ``fullest`` is the share that the core with the most words uses of its own.
    """

    used_bits: int
    bits: int
    fullest: float


@dataclass(frozen=True)
class LayerEstimate:
    """One layer on its cores, per image.

    ``cycles`` are those that its busiest core needs; ``energy_pj`` counts additions, memories and
    links.
    """

    name: str
    neurons: int
    cores: int
    macs: int
    sops: float
    spikes: float
    cycles: float
    energy_pj: float


@dataclass(frozen=True)
class VirtualEstimate:
    """Cores that take turns on a chip with fewer: who, and how long.

    flit_width : bits of a flit between host and chip
    """

    chip: VirtualChip
    times: VirtualTimes
    flit_width: int

    @property
    def interval(self) -> float:
        """Cycles of an image in a full batch, its share of loading included."""
        return self.times.per_image(self.chip.batch)

    def lines(self) -> list[str]:
        """Load, compute and transfer; then group by group."""
        times, n = self.times, self.chip.batch
        kept = self.chip.kept_bytes / 1024
        return [
            f"in turn      {describe_chip(self.chip)}",
            (
                f"load         {times.load:,} cycles once a batch, {times.load / n:,.1f} an image; "
                f"with one image to a batch an image takes {times.per_image(1):,.0f} cycles"
            ),
            f"compute      {times.interval:,.0f} cycles an image, the sum over all groups",
            (
                f"transfer     {times.flits_in:,.0f} flits in and {times.flits_out:,.0f} out an "
                f"image, of {self.flit_width} bits; the host keeps {kept:,.1f} KiB of an image"
            ),
        ]

    def table(self) -> list[str]:
        """Group by group."""
        rows = [("group", "cores", "load", "compute", "flits in", "out", "layers")]
        for number, (part, group) in enumerate(
            zip(self.chip.parts, self.times.groups, strict=True)
        ):
            names = [info.population.name for info in part.program.layers]
            layers = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"
            rows.append(
                (
                    f"{number}",
                    f"{len(part.cores)}",
                    f"{group.load:,}",
                    f"{group.interval:,.0f}",
                    f"{group.flits_in:,.0f}",
                    f"{group.flits_out:,.0f}",
                    layers,
                )
            )
        return aligned(rows, left=(len(rows[0]) - 1,))


@dataclass(frozen=True)
class ChipEstimate:
    """Cores, memories, cycles and energy of a program; ``str()`` of it is a page of text.

    Attributes
    ----------
    name : str
        Of the network.
    n_cores, mesh, lanes
        Cores in use, (columns, rows) of the mesh, neurons that a core computes at a time.
    neurons, parameters, macs
        Of the network; multiply-accumulates per image.
    memories : mapping
        Use of every kind of memory that a program fills.
    latency, interval : float
        Clock cycles from an image's first spike to the end of its output in an idle chip, and from
        image to image where they follow each other.
    sops, spikes : float
        Weights added for spikes, and spikes fired by neurons, per image.
    energy_pj, ann_energy_pj : float
        Picojoules per image with additions, memories and links, and of the same network as
        multiply-accumulates on the same memories (:mod:`stemcore.runtime.report.energy`).
    layers : tuple of LayerEstimate
    virtual : VirtualEstimate or None
        Where cores take turns: ``latency`` is then that of one image with all loads, ``interval``
        an image's share of a batch.
    """

    name: str
    n_cores: int
    mesh: tuple[int, int]
    lanes: int
    neurons: int
    parameters: int
    macs: int
    memories: Mapping[Memory, MemoryUse]
    latency: float
    interval: float
    sops: float
    spikes: float
    energy_pj: float
    ann_energy_pj: float
    layers: tuple[LayerEstimate, ...]
    virtual: VirtualEstimate | None = None

    @property
    def images_per_second(self) -> float:
        """Rate at ``CLOCK_HZ``."""
        return images_per_second(self.interval)

    def __str__(self) -> str:
        columns, rows = self.mesh
        weights = self.memories[Memory.WEIGHT]
        lines = [
            (
                f"{self.name}: {self.neurons:,} neurons, {self.parameters:,} parameters, "
                f"{self.macs:,} MACs per image"
            ),
            f"cores        {self.n_cores} of {self.lanes} lanes, on {columns} x {rows} nodes",
            (
                f"memories     {_kib(sum(m.used_bits for m in self.memories.values()))} of "
                f"{_kib(sum(m.bits for m in self.memories.values()))}; weights "
                f"{_kib(weights.used_bits)} of {_kib(weights.bits)}, the fullest core "
                f"{100 * weights.fullest:.0f} %"
            ),
            (
                f"cycles       first image after {self.latency:,.0f}, then one every "
                f"{self.interval:,.0f}: {rate_text(self.images_per_second)} images/s at "
                f"{CLOCK_HZ / 1e6:.0f} MHz"
            ),
            f"work         {self.sops:,.0f} SOPs and {self.spikes:,.0f} spikes per image",
            (
                f"energy       {energy_text(self.energy_pj)} per image with memories and links; as "
                f"an ANN on the same memories {energy_text(self.ann_energy_pj)}"
            ),
            "",
            *_table(self.layers),
        ]
        if self.virtual is not None:
            lines[3:3] = self.virtual.lines()
            lines += ["", *self.virtual.table()]
        return "\n".join(lines)


def _kib(bits: int) -> str:
    return f"{bits / 8 / 1024:,.1f} KiB"


def _table(layers: tuple[LayerEstimate, ...]) -> list[str]:
    rows = [("layer", "neurons", "cores", "MACs", "SOPs", "spikes", "cycles", "energy")]
    rows += [
        (
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.cores}",
            f"{layer.macs:,}",
            f"{layer.sops:,.0f}",
            f"{layer.spikes:,.0f}",
            f"{layer.cycles:,.0f}",
            energy_text(layer.energy_pj),
        )
        for layer in layers
    ]
    return aligned(rows, left=(0,))


def aligned(rows: Sequence[tuple[str, ...]], left: tuple[int, ...]) -> list[str]:
    """Lines of a table; columns in ``left`` begin together, the others end together."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def estimate_chip(
    program: Program, activity: Activity | None = None, chip: VirtualChip | None = None
) -> ChipEstimate:
    """The estimate of a program for the expected spikes of ``activity``, its input included.

    ``chip``: one with fewer cores, on which the program's take turns.

    Counts are exact where the spikes are; cycles leave congestion in the mesh out
    (:mod:`stemcore.compiler.estimation.estimate`).
    """
    found = estimate(program, activity)
    counters = _counters(found)
    energy = energy_figures(program, counters, 1)["energy_memory"]
    sizes = size_figures(program)
    virtual, latency, interval = None, found.latency, found.interval
    if chip is not None:
        width = Formats(program.params).flit.width
        virtual = VirtualEstimate(chip, estimate_virtual(chip, activity), width)
        latency, interval = virtual.times.of_batch(1), virtual.interval
    return ChipEstimate(
        name=program.name,
        n_cores=len(program.cores),
        mesh=(program.columns, program.rows),
        lanes=program.params.lanes,
        neurons=sizes["neurons"],
        parameters=sizes["parameters"],
        macs=sizes["macs_per_image"],
        memories=memory_use(program),
        latency=latency,
        interval=interval,
        sops=found.sops,
        spikes=sum(core.fired for core in found.cores),
        energy_pj=energy["pj_per_image"],
        ann_energy_pj=energy["ann"]["pj_per_image"],
        layers=_layers(program, found, energy["layers"]),
        virtual=virtual,
    )


def _counters(found: Estimate) -> dict[tuple[int, int], dict[str, float]]:
    """What the cores' counters are expected to say after one image."""
    hops: dict[tuple[int, int], float] = {}
    for (start, _), spikes in found.links.items():
        hops[start] = hops.get(start, 0.0) + spikes
    return {
        (core.x, core.y): {
            "sops": core.sops,
            "busy": core.operations,
            "spikes_in": core.spikes_in,
            "spikes_out": core.packets,
            "hops": hops.get((core.x, core.y), 0.0),
        }
        for core in found.cores
    }


def _layers(
    program: Program, found: Estimate, energy: Mapping[str, Mapping[str, float]]
) -> tuple[LayerEstimate, ...]:
    layers = []
    for info in program.layers:
        name = info.population.name
        cores = [core for core in found.cores if core.layer == name]
        channels, height, width = info.shape
        layers.append(
            LayerEstimate(
                name=name,
                neurons=channels * height * width,
                cores=len(cores),
                macs=info.n_macs,
                sops=sum(core.sops for core in cores),
                spikes=sum(core.fired for core in cores),
                cycles=max(core.busy for core in cores),
                energy_pj=sum(energy[name].values()),
            )
        )
    return tuple(layers)


def memory_use(program: Program) -> dict[Memory, MemoryUse]:
    """Use of every kind of memory that the program fills; registers are not counted."""
    formats = Formats(program.params)
    use: dict[Memory, MemoryUse] = {}
    for memory in Memory:
        words = [len(core.memories[memory]) for core in program.cores if memory in core.memories]
        if memory == Memory.CONTROL or not words:
            continue
        width, depth = formats.word_width(memory), formats.memory(memory)[1]
        bits = len(program.cores) * depth * width
        use[memory] = MemoryUse(sum(words) * width, bits, max(words) / depth)
    return use
