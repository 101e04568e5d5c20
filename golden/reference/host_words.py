# SPDX-License-Identifier: Apache-2.0
"""What the host sends, in the form of a core's activation words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.fixed import Int64Array
from ..program.program import InputRoute, Program


class RouteNeurons:
    """The neurons of a population that one of the host's routes sends."""

    def __init__(self, route: InputRoute, channels: int) -> None:
        self._population = route.population
        self._rows = slice(route.rows[0], route.rows[1] + 1)
        self._columns = slice(route.columns[0], route.columns[1] + 1)
        self._sent = None if route.sent is None else route.neurons(channels)

    def total(self, counts: Sequence[Int64Array]) -> Int64Array:
        """Sum (N,) of counts (N, C, H, W), given for each population, over these neurons."""
        part = counts[self._population][:, :, self._rows, self._columns]
        total: Int64Array = (
            part.sum(axis=(1, 2, 3)) if self._sent is None else part[:, self._sent].sum(axis=1)
        )
        return total


class HostWords:
    """The host's activation words: population by population, block by block, row by row.

    Of a whole program a word holds all channels of a position; of a part, what the other part's
    cores have in a word.

    Attributes
    ----------
    lanes : int
        Channels of a word.
    """

    def __init__(self, program: Program) -> None:
        self._inputs = program.inputs
        self.lanes = program.params.lanes if program.is_part else program.input.shape[0]
        sizes = [self._n_blocks(p.shape[0]) * p.shape[1] * p.shape[2] for p in self._inputs]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()

    def _n_blocks(self, channels: int) -> int:
        return -(-channels // self.lanes)

    def of(
        self, route: InputRoute, where: str
    ) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
        """Words that a route sends, and their channels, rows and columns.

        Raises ``ValueError`` where it sends a part of a word.
        """
        channels, height, width = self._inputs[route.population].shape
        neurons = route.neurons(channels)
        starts = np.arange(0, channels, self.lanes)
        words = np.logical_or.reduceat(neurons, starts, axis=0)
        if not np.array_equal(np.repeat(words, self.lanes, axis=0)[:channels], neurons):
            raise ValueError(f"{where}: must send whole words of {self.lanes} channels")
        block, y, x = np.nonzero(words)
        y, x = y + route.rows[0], x + route.columns[0]
        index = self._starts[route.population] + (block * height + y) * width + x
        return index, block * self.lanes, y, x

    def values(self, inputs: Sequence[NDArray[np.integer]]) -> Int64Array:
        """Values (N, words, lanes) of all words, of values (N, C, H, W) by population."""
        parts = []
        for values in inputs:
            n, channels = values.shape[:2]
            n_blocks = self._n_blocks(channels)
            padding = n_blocks * self.lanes - channels
            padded = np.pad(values, ((0, 0), (0, padding), (0, 0), (0, 0)))
            blocks = padded.reshape(n, n_blocks, self.lanes, -1).transpose(0, 1, 3, 2)
            parts.append(blocks.reshape(n, -1, self.lanes))
        return np.concatenate(parts, axis=1).astype(np.int64)
