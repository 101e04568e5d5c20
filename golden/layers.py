# SPDX-License-Identifier: Apache-2.0
"""One layer at a time, on batches, in exact floating-point arithmetic.

Inside, activations and potentials are channels-last (N, H, W, C) float32 or float64 arrays of
integers. Floating point is used because matrix products in it are fast, and only where it is exact:
a bound of every partial sum, from the weights and the limits of the source, stays below 2**24
(float32) or 2**53 (float64). It holds for any order of summation and with fused multiply-add.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .fixed import Int64Array, limits, requantize
from .network import Connection, Layer, MaxPool, Network, Population
from .params import PRODUCT_WIDTH
from .tables import apply

FloatArray = NDArray[np.floating]

FLOAT32_BOUND = 1 << 24  # every integer of smaller magnitude is exact
FLOAT64_BOUND = 1 << 53


def window_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """Positions of a window along one axis, as in torch."""
    return (size + 2 * padding - kernel) // stride + 1


def connection_shape(connection: Connection, source: Population) -> tuple[int, int, int]:
    """Shape (C, H, W) of the potentials that ``connection`` produces from ``source``."""
    c_out, _, ky, kx = connection.weight.shape
    _, height, width = source.shape
    (sy, sx), (py, px) = connection.stride, connection.padding
    return c_out, window_count(height, ky, sy, py), window_count(width, kx, sx, px)


def potential_bounds(connection: Connection, source: Population) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest sum, per output channel, that any source values can produce.

    ``x_max * (sum of positive w) - x_min * (sum of negative w)`` and the converse, shift applied.
    No partial sum, in whatever order, exceeds the larger of the two magnitudes.
    """
    low, high = source.limits
    flat = connection.weight.reshape(len(connection.weight), -1).astype(np.int64)
    positive = np.maximum(flat, 0).sum(axis=1)
    negative = np.maximum(-flat, 0).sum(axis=1)
    smallest = low * positive - high * negative
    largest = high * positive - low * negative
    return smallest << connection.shift, largest << connection.shift


def check_layer(layer: Layer, network: Network) -> None:
    """Every connection fits its source and the layer's shape; ``ValueError`` where it does not."""
    channels = layer.shape[0]
    for vector in ("bias", "multiplier", "shift"):
        shape = getattr(layer, vector).shape
        if shape != (channels,):
            raise ValueError(f"{layer.name}: {vector} must have shape ({channels},), got {shape}")
    if layer.table is not None and layer.table.shape != (1 << layer.bits,):
        raise ValueError(
            f"{layer.name}: table must have {1 << layer.bits} entries for {layer.bits} bits, "
            f"got shape {layer.table.shape}"
        )
    for connection in layer.connections:
        source = network.population(connection.source)
        c_out, c_in, _, _ = connection.weight.shape
        if c_in * connection.groups != source.shape[0] or c_out % connection.groups:
            raise ValueError(
                f"{layer.name}: weight {connection.weight.shape} in {connection.groups} groups "
                f"does not fit the {source.shape[0]} channels of {connection.source}"
            )
        shape = connection_shape(connection, source)
        if shape != layer.shape:
            raise ValueError(
                f"{layer.name}: connection from {connection.source} must give shape {layer.shape}, "
                f"gives {shape}"
            )


class _Scratch:
    """Arrays kept between batches: fresh large ones cost a page fault for every 4 KB."""

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
        # Indices: group, (ky, kx, input channel), output channel of the group.
        matrix = weight.reshape(groups, c_out // groups, -1, ky, kx).transpose(0, 3, 4, 2, 1)
        self.matrix = np.ascontiguousarray(
            matrix.reshape(groups, -1, c_out // groups), dtype=self.dtype
        )
        self._scratch = _Scratch()

    def __call__(self, x: FloatArray) -> FloatArray:
        """Potentials (N, H', W', C') of activations (N, H, W, C). Valid until the next call."""
        x = x.astype(self.dtype, copy=False)
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
        # The border stays zero from the first use on; only a change of batch size moves it.
        padded = self._scratch.get(f"pad{n}", shape, self.dtype)
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


def max_pool(values: NDArray, pool: MaxPool) -> NDArray:
    """Maximum over windows of (N, H, W, C); what lies outside the border never wins."""
    (ky, kx), (sy, sx), (py, px) = pool.kernel, pool.stride, pool.padding
    n, height, width, channels = values.shape
    out_h = window_count(height, ky, sy, py)
    out_w = window_count(width, kx, sx, px)
    if py or px:
        lowest = values.min(initial=0) - 1
        padding = ((0, 0), (py, py), (px, px), (0, 0))
        values = np.pad(values, padding, constant_values=lowest)
    out: NDArray | None = None
    for dy in range(ky):
        for dx in range(kx):
            rows = values[:, dy : dy + sy * (out_h - 1) + 1 : sy]
            part = rows[:, :, dx : dx + sx * (out_w - 1) + 1 : sx]
            out = part.copy() if out is None else np.maximum(out, part, out=out)
    assert out is not None
    return out


@dataclass
class LayerResult:
    """Activations (N, H, W, C) after pooling, and the potentials before, where they were kept."""

    values: FloatArray
    potentials: FloatArray | None


class PreparedLayer:
    """A layer made ready for :meth:`run`.

    Three ways, the first that is exact: ``shift`` (multipliers 1: the scale folded into weights and
    bias, so that requantization is add, round, clamp), ``product`` (float64), ``integer`` (int64).
    """

    def __init__(self, layer: Layer, network: Network, acc_width: int):
        check_layer(layer, network)
        self.layer = layer
        self.acc_width = acc_width
        sources = [network.population(c.source) for c in layer.connections]
        bounds = [potential_bounds(c, s) for c, s in zip(layer.connections, sources, strict=True)]
        low = int(np.sum([b[0] for b in bounds], axis=0).min())
        high = int(np.sum([b[1] for b in bounds], axis=0).max())
        half = 1 << (acc_width - 1)
        self.must_check = low < -half or high >= half
        largest = max(-low, high)
        self.sum_dtype = np.dtype(np.float32 if largest < FLOAT32_BOUND else np.float64)
        # The accumulator's range is checked, so nothing beyond it needs to be exact afterwards.
        magnitude = min(largest, half)
        bias = layer.bias.astype(np.int64) << (8 * layer.bias_shift)
        product = magnitude * int(layer.multiplier.max()) + int(np.abs(bias).max())
        wraps = product >= 1 << (PRODUCT_WIDTH - 1)
        widest = largest + int(np.abs(bias).max())
        ones = np.ones(layer.shape[0])
        if bool((layer.multiplier == 1).all()) and not wraps and widest < FLOAT64_BOUND:
            self.form = "shift"
            self.unit = np.ldexp(ones, -layer.shift)
            self.dtype = np.dtype(np.float32 if widest < FLOAT32_BOUND else np.float64)
        else:
            self.form = "integer" if wraps else "product"
            self.unit = ones
            self.dtype = np.dtype(np.float64)
        # Powers of two cost no bit of the significand, so they are multiplied in beforehand.
        self.scale = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift)
        self.bias = np.ldexp(bias.astype(np.float64), -layer.shift).astype(self.dtype)
        self._scratch = _Scratch()
        self.convolutions = [
            Convolution(c, s, self.unit) for c, s in zip(layer.connections, sources, strict=True)
        ]
        self.n_window_floats = max(
            c.weight[0].size * c.groups * layer.shape[1] * layer.shape[2] for c in layer.connections
        )
        table = layer.table
        ordered = table is None
        if table is not None:
            first, last = limits(layer.bits, layer.is_signed)
            entries = apply(table, np.arange(first, last + 1))
            ordered = bool((np.diff(entries) >= 0).all())
            if entries.min() < first or entries.max() > last:
                raise ValueError(
                    f"{layer.name}: table entries must lie in {first}..{last}, "
                    f"got {entries.min()}..{entries.max()}"
                )
        # Requantization never decreases with z, so it commutes with the maximum over a window.
        self.pools_first = layer.pool is not None and ordered and not wraps

    def run(self, values: dict[str, FloatArray], keep_potentials: bool) -> LayerResult:
        """From the source activations, by population name, to this layer's."""
        layer = self.layer
        z: FloatArray | None = None
        for connection, convolve in zip(layer.connections, self.convolutions, strict=True):
            part = convolve(values[connection.source])
            if z is None:
                # May be changed in place from here on: it is scratch of the convolution.
                z = part.astype(self.sum_dtype, copy=False)
            else:
                z += part
        assert z is not None
        if self.must_check:
            self._check(z)
        potentials = z / self.unit if keep_potentials else None
        if layer.pool is not None and self.pools_first:
            z = max_pool(z, layer.pool)
        q = self._requantize(z)
        if layer.table is not None:
            q = apply(layer.table, q.astype(np.int64)).astype(np.float32)
        if layer.pool is not None and not self.pools_first:
            q = max_pool(q, layer.pool)
        return LayerResult(q, potentials)

    def _requantize(self, z: FloatArray) -> FloatArray:
        layer = self.layer
        low, high = limits(layer.bits, layer.is_signed)
        if self.form == "integer":
            integer = requantize(
                z.astype(np.int64), layer.bias, layer.multiplier, layer.shift, layer.bias_shift,
                layer.bits, layer.is_signed,
            )  # fmt: skip
            return integer.astype(np.float32)
        if self.form == "product":
            z = np.multiply(z, self.scale, out=self._scratch.get("product", z.shape, np.float64))
        else:
            z = z.astype(self.dtype, copy=False)
        z += self.bias
        np.rint(z, out=z)  # ties to even
        # A copy: z is scratch, which the next batch overwrites.
        return np.clip(z, low, high).astype(np.float32, copy=False)

    def _check(self, z: FloatArray) -> None:
        half = 1 << (self.acc_width - 1)
        worst = (z / self.unit).reshape(-1, z.shape[-1])
        low, high = worst.min(axis=0), worst.max(axis=0)
        bad = np.flatnonzero((low < -half) | (high >= half))
        if bad.size:
            c = int(bad[0])
            raise ValueError(
                f"{self.layer.name}: membrane potentials must fit in {self.acc_width} signed bits, "
                f"channel {c} reached {int(low[c])}..{int(high[c])}; use a wider accumulator or "
                "smaller weights"
            )
