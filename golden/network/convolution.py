# SPDX-License-Identifier: Apache-2.0
"""One connection on batches, as matrix products in exact floating-point arithmetic.

Activations and potentials are channels-last (N, H, W, C) float32 or float64 arrays of integers.
Floating point is used because matrix products in it are fast, and only where it is exact: a bound
of every partial sum, from the weights and the limits of the source, stays below 2**24 (float32) or
2**53 (float64). It holds for any order of summation and with fused multiply-add.
"""

import threading

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..arithmetic.bounds import signed_sums
from ..arithmetic.fixed import Int64Array
from ..spec.windows import window_count
from .network import Connection, Population
from .tap_sums import TapSums
from .taps import partial_bounds, tap_bounds

FloatArray = NDArray[np.floating]

FLOAT32_BOUND = 1 << 24  # every integer of smaller magnitude is exact
FLOAT64_BOUND = 1 << 53


def connection_shape(connection: Connection, source: Population) -> tuple[int, int, int]:
    """Shape (C, H, W) of the potentials that ``connection`` produces from ``source``."""
    c_out, _, *kernel = connection.weight.shape
    height, width = (
        window_count(source.shape[1 + i], kernel[i], connection.stride[i], connection.padding[i])
        if taps is None
        else taps.n_outputs
        for i, taps in enumerate((connection.rows, connection.columns))
    )
    return c_out, height, width


def reached_outputs(
    size: int, kernel: int, stride: int, padding: int, outputs: tuple[int, int]
) -> tuple[Int64Array, Int64Array]:
    """First output, and number of outputs, whose windows read each of ``size`` source positions.

    Along one axis, of the outputs ``outputs[0]`` up to but not including ``outputs[1]``. The first
    output is meaningful where the number is not zero. Two int64 arrays (size,).
    """
    source = np.arange(size) + padding
    # Position y is read by output o where 0 <= y + padding - o * stride < kernel.
    first = np.maximum(-((kernel - 1 - source) // stride), outputs[0])
    last = np.minimum(source // stride, outputs[1] - 1)
    return first, np.maximum(last - first + 1, 0)


def connection_bounds(connection: Connection, low: int, high: int) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest sum, per output channel, that source values in low..high can produce.

    Shift applied. Two int64 arrays (C_out,); ``low <= 0 <= high``.
    """
    if connection.rows is None and connection.columns is None:
        positive, negative = signed_sums(connection.weight, np.int64)
        smallest, largest = low * positive + high * negative, high * positive + low * negative
        return smallest << connection.shift, largest << connection.shift
    weight = connection.weight.astype(np.int64) << connection.shift
    return tap_bounds(weight, connection.rows, connection.columns, low, high)


def connection_partials(
    connection: Connection, source: Population, most: int | None = None
) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest sum on the way, per output channel, whatever the order of the spikes.

    ``most``: see :func:`stemcore.golden.network.taps.partial_bounds`.
    """
    weight = connection.weight.astype(np.int64) << connection.shift
    rows, columns = connection.rows, connection.columns
    return partial_bounds(weight, rows, columns, source.bits, source.is_signed, most)


def potential_bounds(connection: Connection, source: Population) -> tuple[Int64Array, Int64Array]:
    """:func:`connection_bounds` over all activations of ``source``.

    No partial sum of whole values, in whatever order, lies outside.
    """
    return connection_bounds(connection, *source.limits)


class Scratch(threading.local):
    """Arrays kept between batches, by thread: fresh ones cost a page fault for every 4 KB."""

    def __init__(self) -> None:
        self._arrays: dict[str, FloatArray] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> FloatArray:
        """An uninitialized array, except that a new one is zero."""
        n = int(np.prod(shape))
        array = self._arrays.get(name)
        if array is None or array.size < n or array.dtype != dtype:
            array = self._arrays[name] = np.zeros(n, dtype)
        return array[:n].reshape(shape)


class Convolution:
    """A connection made ready: weights in matrix form, exact type chosen.

    ``unit`` scales the weights (a power of two per output channel), for requantization that has
    been folded into them.
    """

    def __init__(self, connection: Connection, source: Population, unit: FloatArray):
        self.connection = connection
        smallest, largest = potential_bounds(connection, source)
        self.bound = int(max(-smallest.min(), largest.max(), 1))
        # All terms are multiples of 2**shift, which costs no bit of the significand.
        exact_bound = self.bound >> connection.shift
        self.dtype = np.dtype(np.float32 if exact_bound < FLOAT32_BOUND else np.float64)
        if exact_bound >= FLOAT64_BOUND:
            raise ValueError(
                f"connection from {connection.source}: sums must stay below 2**53, "
                f"the bound is {exact_bound}; split the layer"
            )
        c_out, _, ky, kx = connection.weight.shape
        scale = unit * float(1 << connection.shift)
        weight = connection.weight.astype(self.dtype) * scale[:, None, None, None]
        groups = connection.groups
        self.c_out, self.kernel = c_out, (ky, kx)
        self.channels = slice(*connection.span(source))
        # Indices: group, (ky, kx, input channel), output channel of the group.
        matrix = weight.reshape(groups, c_out // groups, -1, ky, kx).transpose(0, 3, 4, 2, 1)
        self.matrix = np.ascontiguousarray(
            matrix.reshape(groups, -1, c_out // groups), dtype=self.dtype
        )
        self._scratch = Scratch()
        self._taps: TapSums | None = None
        if connection.rows is not None or connection.columns is not None:
            blocks = self.matrix.reshape(groups, ky, kx, -1, c_out // groups)
            taps = connection.taps(0, source.shape[1]), connection.taps(1, source.shape[2])
            self._taps = TapSums(blocks, *taps)

    def __call__(self, x: FloatArray) -> FloatArray:
        """Potentials (N, H', W', C') of activations (N, H, W, C); valid until the thread's next."""
        x = x[..., self.channels].astype(self.dtype, copy=False)
        if self._taps is not None:
            return self._taps(x)
        n, height, width, channels = x.shape
        (ky, kx), (sy, sx) = self.kernel, self.connection.stride
        padded = self._pad(x)
        out_h = (padded.shape[1] - ky) // sy + 1
        out_w = (padded.shape[2] - kx) // sx + 1
        out = self._scratch.get("out", (n, out_h, out_w, self.c_out), self.dtype)
        groups = self.connection.groups
        if groups == channels and self.matrix.shape[1] == ky * kx:
            self._depthwise(padded, out)
            return out
        part_in, part_out = channels // groups, self.c_out // groups
        for g in range(groups):
            part = padded[..., g * part_in : (g + 1) * part_in]
            columns = self._columns(part, out_h, out_w)
            if groups == 1:
                np.matmul(columns, self.matrix[0], out=out.reshape(-1, self.c_out))
            else:
                product = (columns @ self.matrix[g]).reshape(n, out_h, out_w, part_out)
                out[..., g * part_out : (g + 1) * part_out] = product
        return out

    def _pad(self, x: FloatArray) -> FloatArray:
        py, px = self.connection.padding
        if not py and not px:
            return x
        n, height, width, channels = x.shape
        shape = (n, height + 2 * py, width + 2 * px, channels)
        # Never written: the border stays zero, at the same place whatever the batch.
        padded = self._scratch.get("padded", shape, self.dtype)
        padded[:, py : py + height, px : px + width] = x
        return padded

    def _columns(self, x: FloatArray, out_h: int, out_w: int) -> FloatArray:
        """Every window as a row: (N * H' * W', ky * kx * C)."""
        n, height, width, channels = x.shape
        (ky, kx), (sy, sx) = self.kernel, self.connection.stride
        if (ky, kx) == (height, width) and x.flags.c_contiguous:
            return x.reshape(n, -1)
        if ky == kx == sy == sx == 1 and x.flags.c_contiguous:
            return x.reshape(-1, channels)
        strides = x.strides
        windows = np.lib.stride_tricks.as_strided(
            x,
            (n, out_h, out_w, ky, kx, channels),
            (strides[0], strides[1] * sy, strides[2] * sx, *strides[1:]),
            writeable=False,
        )
        columns = self._scratch.get("columns", windows.shape, self.dtype)
        np.copyto(columns, windows)
        return columns.reshape(n * out_h * out_w, -1)

    def _depthwise(self, x: FloatArray, out: FloatArray) -> None:
        n, out_h, out_w, _ = out.shape
        (ky, kx), (sy, sx) = self.kernel, self.connection.stride
        multiple = self.c_out // x.shape[3]
        target = out.reshape(n, out_h, out_w, -1, multiple)
        taps = self.matrix.reshape(-1, ky, kx, multiple)
        target[...] = 0
        for dy in range(ky):
            for dx in range(kx):
                rows = x[:, dy : dy + sy * (out_h - 1) + 1 : sy]
                part = rows[:, :, dx : dx + sx * (out_w - 1) + 1 : sx]
                target += part[..., None] * taps[:, dy, dx]
