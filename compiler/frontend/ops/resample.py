# SPDX-License-Identifier: Apache-2.0
"""Rows and columns that are weighted sums of other rows and columns, alike for all channels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.taps import Taps

from .operator import Finding, FloatArray, Operand, Operator, Shape
from .windows import Windows

if TYPE_CHECKING:
    import torch

DIGITS = 12  # after the point, in which weights differ


@dataclass(frozen=True, eq=False)
class Resample(Operator):
    """``y[c] = rows x[c] columns^T``: interpolation, and averages over windows of any sizes.

    Attributes
    ----------
    rows : float64 (H', H)
    columns : float64 (W', W)
    """

    rows: FloatArray
    columns: FloatArray

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0][0], len(self.rows), len(self.columns)

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        if any(operand.is_flattened for operand in operands):
            yield (
                "must have rows and columns, got a flattened image",
                "put it before the flattening",
            )

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        (x,) = inputs
        return x.new_tensor(self.rows) @ x @ x.new_tensor(self.columns).T

    def on_channels(self, first: int, stop: int) -> "Resample":
        return self


def average_matrix(windows: Windows) -> FloatArray:
    """Weights (outputs, size) of averages over windows."""
    matrix = np.zeros((len(windows.spans), windows.size))
    for row, (start, stop), count in zip(matrix, windows.spans, windows.counts, strict=True):
        row[start:stop] = 1.0 / count
    return matrix


def matrix_taps(matrix: FloatArray) -> tuple[Taps, FloatArray]:
    """Taps that compute ``matrix @ x``, and their kernel of as few positions as found.

    Every source position gets the run of outputs that it has a weight for; runs of weights overlap
    in the kernel where they agree. One position serves all if there is one weight only.
    """
    n_outputs, size = matrix.shape
    # Weights that are one but for their last digits are the first of them.
    _, kept, kind = np.unique(np.round(matrix, DIGITS), return_index=True, return_inverse=True)
    weights = matrix.reshape(-1)[kept][kind.reshape(matrix.shape)]
    reached = [np.flatnonzero(column) for column in weights.T]
    first = [int(outputs[0]) if len(outputs) else 0 for outputs in reached]
    runs = [
        weights[outputs[0] : outputs[-1] + 1, y] if len(outputs) else np.zeros(0)
        for y, outputs in enumerate(reached)
    ]
    values = np.unique(np.concatenate(runs))
    if len(values) <= 1:
        kernel, index, step = np.ones(1) * values.sum(), [0] * size, 0
    else:
        kernel, index, step = *_overlap(runs), 1
    count = tuple(len(run) for run in runs)
    return Taps(n_outputs, tuple(first), count, tuple(index), step), kernel


def _overlap(runs: Sequence[FloatArray]) -> tuple[FloatArray, list[int]]:
    """One array that contains every run, and where each begins in it."""
    line: list[float] = []
    for run in runs:
        wanted = run.tolist()
        if _find(line, wanted) is None:
            for n in range(min(len(line), len(wanted)), -1, -1):
                if line[len(line) - n :] == wanted[:n]:
                    line += wanted[n:]
                    break
    index = [_find(line, run.tolist()) for run in runs]
    return np.array(line), [0 if at is None else at for at in index]


def _find(line: list[float], part: list[float]) -> int | None:
    """Where ``part`` begins in ``line``; None where it does not occur."""
    for start in range(len(line) - len(part) + 1):
        if line[start : start + len(part)] == part:
            return start
    return None


def is_copy(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> bool:
    """Whether every output is one of the source's values."""
    return all(
        bool(((matrix == 0) | (matrix == 1)).all() and (matrix.sum(axis=1) == 1).all())
        for matrix in (rows, columns)
    )
