# SPDX-License-Identifier: Apache-2.0
"""Which outputs a source position reaches along one axis, and through which kernel position.

Windows at one distance (convolution, pooling) follow from kernel, stride and padding. Everything
else that treats rows and columns apart has an entry for every source position: transposed
convolutions, whose stride is a fraction, interpolation, windows of different sizes, and sums in
which one weight serves many positions. A core's row and column tables hold exactly these entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.bounds import Number, sum_bounds
from ..arithmetic.fixed import Int64Array
from ..spec.integers import code_limits
from ..spec.windows import window_count


@dataclass(frozen=True)
class Taps:
    """Entries of one axis.

    Source position ``y`` has ``count[y]`` taps. The j-th reaches the output ``first[y] + j *
    advance`` through the kernel position ``index[y] + j * step``.

    Attributes
    ----------
    n_outputs : int
    first, count, index : tuples of int, one element a source position
        Where ``count`` is zero, the others mean nothing.
    step : int
    advance : int
        1; or 0, where all taps of a position reach one output: a source value is added several
        times, as one weight is too small.
    """

    n_outputs: int
    first: tuple[int, ...]
    count: tuple[int, ...]
    index: tuple[int, ...]
    step: int
    advance: int = 1

    @property
    def size(self) -> int:
        """Source positions."""
        return len(self.count)

    def within(self, outputs: tuple[int, int]) -> tuple[Int64Array, Int64Array, Int64Array]:
        """``first``, ``count`` and ``index`` of the outputs ``outputs[0]`` up to but not including
        ``outputs[1]`` alone: three int64 arrays (size,)."""
        first, count, index = (np.array(a, np.int64) for a in (self.first, self.count, self.index))
        if not self.advance:
            return first, count * ((outputs[0] <= first) & (first < outputs[1])), index
        start = np.maximum(first, outputs[0])
        stop = np.minimum(first + count, outputs[1])
        return start, np.maximum(stop - start, 0), index + (start - first) * self.step

    def pairs(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Source position, output and kernel position of every tap: three int64 arrays."""
        count = np.array(self.count, np.int64)
        source = np.repeat(np.arange(self.size), count)
        j = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        first, index = np.array(self.first, np.int64), np.array(self.index, np.int64)
        return source, first[source] + j * self.advance, index[source] + j * self.step

    def reach(self) -> NDArray[np.int64]:
        """Number of taps (outputs, source positions)."""
        source, output, _ = self.pairs()
        table = np.zeros((self.n_outputs, self.size), np.int64)
        np.add.at(table, (output, source), 1)
        return table

    def terms(self, kernel: int) -> NDArray[np.int64]:
        """How many source positions reach an output through each kernel position.

        One row for every kind of output: int64 (kinds, kernel).
        """
        _, output, position = self.pairs()
        counts = np.zeros((self.n_outputs, kernel), np.int64)
        np.add.at(counts, (output, position), 1)
        return np.unique(counts, axis=0)


def check_taps(taps: Taps, kernel: int, where: str) -> None:
    """``ValueError`` unless the taps stay within the outputs and a kernel of ``kernel`` positions.

    ``where`` names connection and axis in the message.
    """
    if not len(taps.first) == len(taps.count) == len(taps.index):
        raise ValueError(
            f"{where}: must have an entry of each kind for every source position, has "
            f"{len(taps.first)}, {len(taps.count)} and {len(taps.index)}"
        )
    if taps.advance not in (0, 1):
        raise ValueError(f"{where}: taps must advance by 0 or 1 outputs, got {taps.advance}")
    if min(taps.count, default=0) < 0:
        raise ValueError(f"{where}: numbers of outputs must not be negative, got {taps.count}")
    _, output, position = taps.pairs()
    for what, values, n in (("outputs", output, taps.n_outputs), ("kernel", position, kernel)):
        if len(values) and not 0 <= values.min() <= values.max() < n:
            raise ValueError(
                f"{where}: taps must stay within {n} positions of the {what}, reach "
                f"{values.min()}..{values.max()}"
            )


def window_taps(size: int, kernel: int, stride: int, padding: int) -> Taps:
    """Taps of windows of ``kernel`` positions at a distance of ``stride``."""
    n_outputs = window_count(size, kernel, stride, padding)
    source = np.arange(size) + padding
    # Position y is read by output o where 0 <= y + padding - o * stride < kernel.
    first = np.maximum(-((kernel - 1 - source) // stride), 0)
    last = np.minimum(source // stride, n_outputs - 1)
    return _taps(
        n_outputs, first, np.maximum(last - first + 1, 0), source - first * stride, -stride
    )


def transposed_taps(size: int, kernel: int, stride: int, padding: int, extra: int = 0) -> Taps:
    """Taps of a transposed convolution: position y reaches ``y * stride - padding + k`` through k.

    ``extra`` outputs behind the last one are added (torch's ``output_padding``).
    """
    n_outputs = (size - 1) * stride - 2 * padding + kernel + extra
    start = np.arange(size) * stride - padding
    first = np.maximum(start, 0)
    stop = np.minimum(start + kernel, n_outputs)
    return _taps(n_outputs, first, np.maximum(stop - first, 0), first - start, 1)


def shared_taps(spans: Sequence[tuple[int, int]], size: int) -> Taps:
    """Taps of windows ``spans`` (start, stop), in order, that all have one kernel position."""
    windows = np.array(spans, np.int64).reshape(-1, 2)
    positions = np.arange(size)
    inside = (windows[:, :1] <= positions) & (positions < windows[:, 1:])
    count = inside.sum(axis=0)
    return _taps(len(windows), inside.argmax(axis=0), count, np.zeros(size, np.int64), 0)


def repeated_taps(size: int, n: int) -> Taps:
    """Taps that bring every position to itself ``n`` times, through one kernel position."""
    zeros = np.zeros(size, np.int64)
    return replace(_taps(size, np.arange(size), zeros + n, zeros, 0), advance=0)


def no_taps(size: int, n_outputs: int = 1) -> Taps:
    """Taps of an axis in which no source position reaches anything."""
    zeros = np.zeros(size, np.int64)
    return _taps(n_outputs, zeros, zeros, zeros, 0)


def _taps(
    n_outputs: int, first: Int64Array, count: Int64Array, index: Int64Array, step: int
) -> Taps:
    return Taps(
        int(n_outputs),
        tuple(first.tolist()),
        tuple(count.tolist()),
        tuple(index.tolist()),
        step,
    )


def tap_bounds(
    weight: NDArray[Number], rows: Taps | None, columns: Taps | None, low: int, high: int
) -> tuple[NDArray[Number], NDArray[Number]]:
    """Smallest and largest sum of every channel (C,), over all source values in ``low .. high``.

    weight : (C, C_in, K_y, K_x). An axis whose taps are None has windows: every kernel position
    stands for one source position at most. Otherwise as ``stemcore.golden.arithmetic.bounds``.
    """
    if rows is None and columns is None:
        return sum_bounds(weight, low, high)
    n_y, n_x = (
        np.ones((1, kernel), np.int64) if taps is None else taps.terms(kernel)
        for taps, kernel in zip((rows, columns), weight.shape[2:], strict=True)
    )
    positive, negative = (
        np.einsum("ayx,oy,px->aop", part.sum(axis=1), n_y, n_x)
        for part in (np.maximum(weight, 0), np.minimum(weight, 0))
    )
    smallest = (low * positive + high * negative).min(axis=(1, 2))
    largest = (high * positive + low * negative).max(axis=(1, 2))
    return smallest, largest


def partial_bounds(
    weight: NDArray[Number],
    rows: Taps | None,
    columns: Taps | None,
    bits: int,
    is_signed: bool,
    most: int | None = None,
) -> tuple[NDArray[Number], NDArray[Number]]:
    """Smallest and largest sum of every channel (C,) on the way, in whatever order spikes come.

    Spikes that have come stand for any part of the bits of the source's values: of a signed one the
    first may come alone, which is below all values; of an unsigned one no part exceeds the value.

    weight, rows, columns : as for :func:`tap_bounds`, shifted as the connection is
    bits, is_signed : of the source's spike trains
    most : largest value of an unsigned source; default: that of its bits
    """
    low, high = code_limits(bits, is_signed)
    if most is not None and not is_signed:
        high = most
    return tap_bounds(weight, rows, columns, low, high)
