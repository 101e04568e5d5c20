# SPDX-License-Identifier: Apache-2.0
"""What makers of garbage build their flits with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.routing import Rectangle


@dataclass(frozen=True)
class Chip:
    """What a maker of garbage knows.

    program : what runs
    rng : where it takes its numbers from
    nodes : whom it is for
    """

    program: Program
    rng: np.random.Generator
    nodes: Rectangle

    @property
    def formats(self) -> Formats:
        """Of the program's chip."""
        return Formats(self.program.params)

    def flit(self, kind: int, payload: int = 0, nodes: Rectangle | None = None) -> int:
        """To ``self.nodes`` where no others are given."""
        x0, y0, x1, y1 = self.nodes if nodes is None else nodes
        return self.formats.flit.pack(kind=kind, x0=x0, y0=y0, x1=x1, y1=y1, payload=payload)

    def pick(self, values: Sequence[int]) -> int:
        """One of them."""
        return int(values[self.rng.integers(len(values))])

    def below(self, end: int) -> int:
        """A number from 0 to ``end - 1``."""
        return int(self.rng.integers(end))

    def spike(self, **fields: int) -> int:
        """Payload of a spike, with zero for what is not given."""
        names = [name for name, _ in self.formats.spike.widths]
        return self.formats.spike.pack(**(dict.fromkeys(names, 0) | fields))

    def access(
        self, memory: int, address: int, *, chunk: int = 0, data: Sequence[int]
    ) -> list[int]:
        """ADDRESS and WRITEs."""
        pointer = self.formats.pointer.pack(memory=memory, chunk=chunk, address=address)
        return [self.flit(Kind.ADDRESS, pointer), *(self.flit(Kind.WRITE, word) for word in data)]

    def asks(self, memory: int, address: int, n: int = 1) -> list[int]:
        """ADDRESS and READs."""
        pointer = self.formats.pointer.pack(memory=memory, chunk=0, address=address)
        return [self.flit(Kind.ADDRESS, pointer), *[self.flit(Kind.READ)] * n]
