# SPDX-License-Identifier: Apache-2.0
"""Sums of a connection whose rows and columns have taps of their own, in exact floating point."""

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.fixed import Int64Array
from .taps import Taps

FloatArray = NDArray[np.floating]
FLOAT32_POSITIONS = 256  # of an axis: activations of 256 x 256 positions add up to less than 2**24


class TapSums:
    """Potentials (N, H', W', C') of activations (N, H, W, C).

    For every kernel position, source positions are brought to the outputs that they reach through
    it, added up where they meet, and multiplied by its weights.

    blocks : (groups, K_y, K_x, C / groups, C' / groups)
        Weights; their type is that of all sums.
    """

    def __init__(self, blocks: FloatArray, rows: Taps, columns: Taps):
        self.blocks = blocks
        self.shape = rows.n_outputs, columns.n_outputs
        self._rows = [_Moves(rows, k) for k in range(blocks.shape[1])]
        self._columns = [_Moves(columns, k) for k in range(blocks.shape[2])]

    def __call__(self, x: FloatArray) -> FloatArray:
        """A new array."""
        n_groups, _, _, part_in, part_out = self.blocks.shape
        n = len(x)
        out = np.zeros((n, *self.shape, n_groups, part_out), self.blocks.dtype)
        for ky, rows in enumerate(self._rows):
            if not len(rows.outputs):
                continue
            from_rows = rows.gather(x, 1)
            for kx, columns in enumerate(self._columns):
                weight = self.blocks[:, ky, kx]
                if not len(columns.outputs) or not weight.any():
                    continue
                part = columns.gather(from_rows, 2)
                part = part.reshape(*part.shape[:3], n_groups, 1, part_in)
                place = np.ix_(np.arange(n), rows.outputs, columns.outputs)
                out[place] += (part @ weight)[..., 0, :]
        return out.reshape(n, *self.shape, -1)


class _Moves:
    """What reaches which outputs through one kernel position of an axis.

    ``outputs`` are those that anything reaches, in order.
    """

    def __init__(self, taps: Taps, kernel_position: int):
        source, output, position = taps.pairs()
        chosen = position == kernel_position
        self._source: Int64Array = source[chosen]
        self.outputs, self._place = np.unique(output[chosen], return_inverse=True)
        self._is_single = len(self.outputs) == len(self._source)
        exact = np.float32 if taps.size <= FLOAT32_POSITIONS else np.float64
        self._table = np.zeros((len(self.outputs), taps.size), exact)
        np.add.at(self._table, (self._place, self._source), 1)

    def gather(self, x: FloatArray, axis: int) -> FloatArray:
        """``x`` with the sums of what reaches each of ``outputs`` along ``axis``."""
        if self._is_single:
            order = np.empty_like(self._source)
            order[self._place] = self._source
            return np.take(x, order, axis=axis)
        return np.moveaxis(np.tensordot(self._table, x, axes=(1, axis)), 0, axis)
