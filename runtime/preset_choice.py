# SPDX-License-Identifier: Apache-2.0
"""One network on chips of several presets that have as many lanes in all: which is fastest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stemcore.compiler.errors import CompileError
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS

from .chip_estimate import aligned
from .report.figures import images_per_second, rate_text
from .settings import Settings, chip_params, preset_name


@dataclass(frozen=True)
class PresetEstimate:
    """A network on a chip of one preset; ``problem`` says why there is none, all else is 0 then.

    memory_bits : of all cores, whether they are used or not
    latency, interval : cycles, as in :class:`stemcore.runtime.chip_estimate.ChipEstimate`
    """

    preset: str
    lanes: int
    cores: int = 0
    memory_bits: int = 0
    latency: float = 0.0
    interval: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class PresetChoice:
    """Presets side by side, in the order that was asked for; the first is the network's own.

    lanes : that a chip may have in all: those of the first
    """

    lanes: int
    rows: tuple[PresetEstimate, ...]

    @property
    def best(self) -> PresetEstimate:
        """The one whose images follow each other soonest, of equal ones the first."""
        return min((row for row in self.rows if not row.problem), key=lambda row: row.interval)

    def __str__(self) -> str:
        table = [("preset", "cores", "lanes", "memory", "latency", "interval", "images/s")]
        table += [
            (
                row.preset,
                f"{row.cores}",
                f"{row.lanes}",
                f"{row.memory_bits / 8 / 1024:,.0f} KiB",
                f"{row.latency:,.0f}",
                f"{row.interval:,.0f}",
                rate_text(images_per_second(row.interval)),
            )
            for row in self.rows
            if not row.problem
        ]
        lines = [f"presets, each with {self.lanes} lanes in all or fewer"]
        lines += aligned(table, left=(0,))
        lines += [f"{row.preset}: {row.problem}" for row in self.rows if row.problem]
        best, own = self.best, self.rows[0]
        gain = own.interval / best.interval
        way = f"PRESET={best.preset} CORES={best.cores}"
        lines += ["", f"best         {way}: {gain:.2f} times the images of {own.preset}"]
        return "\n".join(lines)


def preset_names(text: str) -> tuple[str, ...]:
    """Of a list with commas; ``ValueError`` names those that exist."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in PRESETS]:
        raise ValueError(
            f"presets: must be some of {', '.join(PRESETS)}, with commas between, got "
            f"{unknown[0]!r}"
        )
    return names


def compare_presets(
    done: Compilation,
    settings: Settings,
    names: Sequence[str],
    say: Callable[[str], None] = lambda line: None,
) -> PresetChoice:
    """The network of ``done``, compiled for the preset of ``settings``, on those called ``names``.

    Lanes hold output channels, so that a layer of few channels leaves most of a wide core's idle;
    more cores of fewer lanes then take less time with as many adders. Each other chip may have as
    many cores as make the lanes of the first. Where that is too few for the network's memories, the
    row says so.
    """
    own = preset_name(settings)
    lanes = len(done.program.cores) * done.options.params.lanes
    rows = [_row(own, done.program, done)]
    for name in names:
        if name == own:
            continue
        params = chip_params(settings, name)
        if params.integration != done.options.params.integration:
            why = (
                f"integrates as {params.integration!r}, which gives other results; give INTEGRATION"
            )
            rows.append(PresetEstimate(name, params.lanes, problem=why))
            continue
        say(f"compile      for {name}: partition, place, assemble")
        wanted = done.with_options(params=params, mesh=None, cores=max(1, lanes // params.lanes))
        try:
            compiled = run_stages(wanted)
            rows.append(_row(name, compiled.program, compiled))
        except CompileError as error:
            rows.append(PresetEstimate(name, params.lanes, problem=" ".join(str(error).split())))
    return PresetChoice(lanes, tuple(rows))


def _row(name: str, program: Program, compiled: Compilation) -> PresetEstimate:
    formats = Formats(program.params)
    bits = sum(
        formats.word_width(memory) * formats.memory(memory)[1]
        for memory in Memory
        if memory is not Memory.CONTROL
    )
    found = estimate(program, compiled.activity)
    return PresetEstimate(
        name,
        program.params.lanes,
        len(program.cores),
        len(program.cores) * bits,
        found.latency,
        found.interval,
    )
