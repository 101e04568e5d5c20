# SPDX-License-Identifier: Apache-2.0
"""The destination table of a core: runs of entries, shared wherever one run lies within another."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.words import pack_words
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..errors import AssembleError, preset_with

Entry = tuple[int, int, int, int, int]  # rectangle x0, y0, x1, y1, then axon
Run = tuple[Entry, ...]


class DestinationsFullError(AssembleError):
    """Too many different runs: fewer or better placed cores would need fewer.

    ``need`` is the number of entries that a core's table would have to hold.
    """

    def __init__(self, where: str, problem: str, remedy: str = "", need: int = 0) -> None:
        super().__init__(where, problem, remedy)
        self.need = need


class Destinations:
    """Runs of destination entries, overlaid so that the table stays small.

    Parameters
    ----------
    where : str
        Core and memory, for the error.
    params : ChipParams
    """

    def __init__(self, where: str, params: ChipParams) -> None:
        self.where, self.params = where, params
        self.entries: list[Entry] = []
        self._starts: dict[Run, int] = {(): 0}

    def add_all(self, runs: Iterable[Run]) -> None:
        """Places the runs; long ones first, so that short ones are often found within them."""
        for run in sorted(set(runs), key=lambda run: (-len(run), run)):
            if run:
                self._starts[run] = self._find(run)
        if len(self.entries) > self.params.n_destinations:
            raise DestinationsFullError(
                self.where,
                f"must hold {len(self.entries)} entries, has {self.params.n_destinations}",
                preset_with(self.params, "more destinations", "n_destinations", "use fewer cores"),
                len(self.entries),
            )

    def _find(self, run: Run) -> int:
        size = len(run)
        for start in range(len(self.entries) - size + 1):
            if tuple(self.entries[start : start + size]) == run:
                return start
        # The end of the table may already hold the beginning of the run.
        overlap = next(
            n
            for n in range(min(size, len(self.entries)), -1, -1)
            if n == 0 or tuple(self.entries[-n:]) == run[:n]
        )
        self.entries += run[overlap:]
        return len(self.entries) - size

    def run(self, run: Run) -> tuple[int, int]:
        """(start, count) of a run that was added before."""
        return self._starts[run], len(run)

    def words(self) -> NDArray[np.uint32]:
        """The table as chunks."""
        layout = Formats(self.params).destination
        columns = np.array(self.entries, dtype=np.int64).reshape(-1, 5).T
        return pack_words(layout, dict(zip(("x0", "y0", "x1", "y1", "axon"), columns, strict=True)))
