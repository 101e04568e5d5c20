# SPDX-License-Identifier: Apache-2.0
"""What the compiler raises: where; what must hold; what came; what to do.

``CompileError(where, problem, remedy)`` reads ``where: problem; remedy``. ``problem`` says what
must hold and what came; ``remedy`` what the user can do about it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from stemcore.golden.spec.params import DEFAULT_MODEL, ChipParams
from stemcore.golden.spec.presets import PRESETS


@dataclass(frozen=True)
class Problem:
    """One finding of a check: layer or stage, reason, way out, line of the user's code."""

    where: str
    problem: str
    remedy: str = ""
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.where} ({self.source})" if self.source else self.where
        return f"{where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")

    @property
    def cause(self) -> tuple[str, str]:
        """Alike for findings that differ in their numbers alone."""
        return _NUMBER.sub("#", self.problem), self.remedy


def grouped(problems: Sequence[Problem]) -> list[str]:
    """A line for each cause: its first problem whole, and where else it was found."""
    causes: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        causes.setdefault(problem.cause, []).append(problem)
    lines = []
    for first, *others in causes.values():
        places = [name for name in dict.fromkeys(p.where for p in others) if name != first.where]
        shown = ", ".join(places[:_NAMES])
        more = f" and {len(places) - _NAMES} more" if len(places) > _NAMES else ""
        lines.append(f"{first}" + (f"; also at {shown}{more}" if places else ""))
    return lines


_NUMBER = re.compile(r"\d+")
_NAMES = 3  # of layers with the same problem, before the rest is counted
_NO_ROOM = ("integration", "n_spikes", "queue_depth", "soma_lanes")  # speed, not what fits
# Packets have 64 bits, so a preset has more of one for less of another.
_TRADED = ("c_width", "y_width", "x_width", "n_table_y", "n_table_x")


def larger_presets(params: ChipParams, size: str = "", least: int = 0) -> dict[str, ChipParams]:
    """Presets with memories no smaller than those of ``params``, with its neuron model, by name.

    They have more of ``size``, at least ``least``; of something, where no size is named. Bits of
    coordinates and their tables may be fewer.
    """
    sizes = [f.name for f in fields(ChipParams) if f.name not in _NO_ROOM]
    found = {}
    for name, preset in PRESETS.items():
        if preset.integration != DEFAULT_MODEL:
            continue  # would change more than sizes
        other = preset.with_integration(params.integration)
        gains = {s: getattr(other, s) - getattr(params, s) for s in sizes}
        kept = [gain for s, gain in gains.items() if s not in _TRADED]
        has_more = (gains[size] if size else max(gains.values())) > 0
        if min(kept) >= 0 and has_more and (not size or getattr(other, size) >= least):
            found[name] = other
    return found


def preset_with(
    params: ChipParams,
    what: str,
    size: str = "",
    otherwise: str = "make the layer smaller",
    least: int = 0,
) -> str:
    """The remedy for a chip that is too small: ``what`` to look for, presets that have it (of
    ``size`` at least ``least``), and what to do without."""
    names = list(larger_presets(params, size, least))
    if not names:
        return f"{otherwise}: no preset has {what} and memories no smaller"
    return f"choose a preset with {what}, such as {' or '.join(names[:2])}, or {otherwise}"


class CompileError(Exception):
    """The network cannot be compiled as asked.

    Attributes
    ----------
    where, problem, remedy : str
        The parts of the message.
    """

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        self.where, self.problem, self.remedy = where, problem, remedy
        super().__init__(str(Problem(where, problem, remedy)))


class CaptureError(CompileError):
    """The torch module cannot be read into the IR."""


class CompatibilityError(CompileError):
    """Layers that have no integer, spiking form; ``problems`` has all of them, the message one
    line for each cause."""

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        causes = grouped(self.problems)
        lines = "".join(f"\n  {line}" for line in causes)
        count = f"{len(causes)} problem" + ("s" if len(causes) != 1 else "")
        super().__init__(where, f"{count} to solve before it can be compiled:{lines}")


class QuantizeError(CompileError):
    """Scales, bits or calibration data that give no valid integers."""


class RangeError(CompileError):
    """An integer does not fit the register that has to hold it."""


class SparsifyError(CompileError):
    """An activation table that does not fit its layer, or a search that finds none."""


class PartitionError(CompileError):
    """A layer does not fit the cores."""


class PlacementError(CompileError):
    """The cores do not fit the mesh."""


class AssembleError(CompileError):
    """A table or memory of a core is too small for its contents."""


class FormatError(CompileError):
    """A saved intermediate result is not what it claims to be."""
