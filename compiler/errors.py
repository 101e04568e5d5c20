# SPDX-License-Identifier: Apache-2.0
"""What the compiler raises: where; what must hold; what came; what to do.

``CompileError(where, problem, remedy)`` reads ``where: problem; remedy``. ``problem`` says what
must hold and what came; ``remedy`` what the user can do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from stemcore.golden.spec.params import DEFAULT_MODEL, ChipParams
from stemcore.golden.spec.presets import PRESETS


@dataclass(frozen=True)
class Problem:
    """One finding of a check: layer or stage, reason, way out."""

    where: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


_NO_ROOM = ("integration", "n_spikes", "queue_depth", "soma_lanes")  # speed, not what fits


def preset_with(params: ChipParams, what: str, size: str = "") -> str:
    """The remedy for a chip that is too small: ``what`` to look for, and presets that have it.

    These have no less of anything, and more of ``size`` (of something, where that is empty).
    """
    sizes = [f.name for f in fields(ChipParams) if f.name not in _NO_ROOM]
    names = []
    for name, preset in PRESETS.items():
        if preset.integration != DEFAULT_MODEL:
            continue  # would change more than sizes
        other = preset.with_integration(params.integration)
        gains = {s: getattr(other, s) - getattr(params, s) for s in sizes}
        if min(gains.values()) >= 0 < (gains[size] if size else max(gains.values())):
            names.append(name)
    return f"choose a preset with {what}" + (f", such as {' or '.join(names[:2])}" if names else "")


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
    """Layers that have no integer, spiking form; ``problems`` has all of them."""

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) != 1 else "")
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
