# SPDX-License-Identifier: Apache-2.0
"""Tables of a core, filled with runs of entries from address 0 upward."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.words import pack_words
from stemcore.golden.spec.bit_fields import BitFields

from ..errors import AssembleError


class Table:
    """A memory filled with runs of entries; a run that is already there is used again.

    Parameters
    ----------
    where : str
        Core and memory, for the error.
    layout : BitFields
        Of one entry.
    depth : int
        Entries that the memory holds.
    """

    def __init__(self, where: str, layout: BitFields, depth: int) -> None:
        self.where, self.layout, self.depth = where, layout, depth
        self._runs: list[NDArray[np.int64]] = []
        self._starts: dict[bytes, int] = {}
        self.n_used = 0

    def add(self, **columns: NDArray[Any]) -> int:
        """Address of the first of these entries (a column per field)."""
        names = [field for field, _ in self.layout.widths]
        run = np.stack([np.asarray(columns[name], dtype=np.int64) for name in names], axis=1)
        key = run.tobytes()
        if key not in self._starts:
            needed = self.n_used + len(run)
            if needed > self.depth:
                self._overfull(needed)
            self._starts[key] = self.n_used
            self._runs.append(run)
            self.n_used = needed
        return self._starts[key]

    def append(self, **columns: int) -> int:
        """Address of one new entry, even if an equal one is there."""
        where = self.n_used
        names = [field for field, _ in self.layout.widths]
        if where + 1 > self.depth:
            self._overfull(where + 1)
        self._runs.append(np.array([[columns[name] for name in names]], dtype=np.int64))
        self.n_used += 1
        return where

    def _overfull(self, needed: int) -> None:
        raise AssembleError(
            self.where,
            f"must hold {needed} entries, has {self.depth}",
            "choose a preset with larger tables or more cores",
        )

    def words(self) -> NDArray[np.uint32]:
        """The entries so far as chunks."""
        names = [field for field, _ in self.layout.widths]
        entries = np.concatenate([np.zeros((0, len(names)), np.int64), *self._runs])
        return pack_words(self.layout, {name: entries[:, i] for i, name in enumerate(names)})
