# SPDX-License-Identifier: Apache-2.0
"""One layer at a time, on batches: sum of connections, requantization, table, pooling.

Arrays are channels-last floats that hold exact integers, as in
``stemcore.golden.network.convolution``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.activation_tables import apply
from ..arithmetic.fixed import MAX_SHIFT, digit, requantize
from ..arithmetic.step_integration import HIGHEST, LOWEST
from ..spec.integers import limits
from ..spec.params import ACTIVATION_WIDTH, PRODUCT_WIDTH
from ..spec.windows import window_shape
from .convolution import (
    FLOAT32_BOUND,
    FLOAT64_BOUND,
    Convolution,
    FloatArray,
    Scratch,
    connection_shape,
    potential_bounds,
)
from .network import Digits, Layer, MaxPool, Network
from .step_sums import StepSums


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
    if layer.digits is not None:
        _check_digits(layer)
    for connection in layer.connections:
        source = network.population(connection.source)
        c_out, c_in, _, _ = connection.weight.shape
        first, stop = connection.span(source)
        if not 0 <= first < stop <= source.shape[0]:
            raise ValueError(
                f"{layer.name}: channels {first}..{stop - 1} must lie in the {source.shape[0]} of "
                f"{connection.source}"
            )
        if c_in * connection.groups != stop - first or c_out % connection.groups:
            raise ValueError(
                f"{layer.name}: weight {connection.weight.shape} in {connection.groups} groups "
                f"does not fit the {stop - first} channels of {connection.source}"
            )
        shape = connection_shape(connection, source)
        if shape != layer.shape:
            raise ValueError(
                f"{layer.name}: connection from {connection.source} must give shape {layer.shape}, "
                f"gives {shape}"
            )


def _check_digits(layer: Layer) -> None:
    assert layer.digits is not None
    if layer.digits.count < 1 or layer.digits.step < layer.shape[0]:
        raise ValueError(
            f"{layer.name}: digits must be 1 or more, {layer.shape[0]} channels or more apart, got "
            f"{layer.digits.count}, {layer.digits.step} apart"
        )
    top = int(layer.shift.max()) + ACTIVATION_WIDTH * (layer.digits.count - 1)
    if top > MAX_SHIFT:
        raise ValueError(
            f"{layer.name}: the highest digit's shift must be at most {MAX_SHIFT}, got {top}"
        )
    if (
        layer.bits != ACTIVATION_WIDTH
        or layer.is_signed
        or layer.integration is not None
        or layer.table is not None
        or layer.pool is not None
    ):
        raise ValueError(
            f"{layer.name}: digits need {ACTIVATION_WIDTH} unsigned bits, exact integration, no "
            f"table and no pooling; got bits {layer.bits}, is_signed {layer.is_signed}, "
            f"integration {layer.integration}, table {layer.table is not None}, pool {layer.pool}"
        )


def max_pool(values: NDArray[Any], pool: MaxPool) -> NDArray[Any]:
    """Maximum over windows of (N, H, W, C); what lies outside the border never wins."""
    (ky, kx), (sy, sx), (py, px) = pool.kernel, pool.stride, pool.padding
    n, height, width, channels = values.shape
    out_h, out_w = window_shape((height, width), pool.kernel, pool.stride, pool.padding)
    if py or px:
        lowest = values.min(initial=0) - 1
        padding = ((0, 0), (py, py), (px, px), (0, 0))
        values = np.pad(values, padding, constant_values=lowest)
    out: NDArray[Any] | None = None
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
    bias, so that requantization is add, round, clamp), ``product`` (float64), ``integer`` (int64);
    and ``digits`` (int64) where bytes are fired.
    """

    def __init__(self, layer: Layer, network: Network, acc_width: int):
        check_layer(layer, network)
        self.layer = layer
        self.acc_width = acc_width
        sources = [network.population(c.source) for c in layer.connections]
        bounds = [potential_bounds(c, s) for c, s in zip(layer.connections, sources, strict=True)]
        low = int(np.sum([b[0] for b in bounds], axis=0).min())
        high = int(np.sum([b[1] for b in bounds], axis=0).max())
        self.steps = None if layer.integration is None else StepSums(layer, network)
        if self.steps is not None:
            low, high = LOWEST, HIGHEST  # potentials saturate
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
        folds = bool((layer.multiplier == 1).all()) and self.steps is None and not layer.digits
        if folds and not wraps and widest < FLOAT64_BOUND:
            self.form = "shift"
            self.unit = np.ldexp(ones, -layer.shift)
            self.dtype = np.dtype(np.float32 if widest < FLOAT32_BOUND else np.float64)
        else:
            self.form = "digits" if layer.digits else "integer" if wraps else "product"
            self.unit = ones
            self.dtype = np.dtype(np.float64)
        # Powers of two cost no bit of the significand, so they are multiplied in beforehand.
        self.scale = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift)
        self.bias = np.ldexp(bias.astype(np.float64), -layer.shift).astype(self.dtype)
        self._scratch = Scratch()
        self.convolutions = [
            Convolution(c, s, self.unit)
            for c, s in zip(layer.connections, sources, strict=True)
            if self.steps is None
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
        z = self._sum(values) if self.steps is None else self.steps.potentials(values)
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

    def _sum(self, values: dict[str, FloatArray]) -> FloatArray:
        z: FloatArray | None = None
        for connection, convolve in zip(self.layer.connections, self.convolutions, strict=True):
            part = convolve(values[connection.source])
            if z is None:
                # May be changed in place from here on: it is scratch of the convolution.
                z = part.astype(self.sum_dtype, copy=False)
            else:
                z += part
        assert z is not None
        return z

    def _requantize(self, z: FloatArray) -> FloatArray:
        layer = self.layer
        if layer.digits is not None:
            return self._digits(z, layer.digits)
        low, high = limits(layer.bits, layer.is_signed)
        if self.form == "integer":
            integer = requantize(
                z.astype(np.int64),
                layer.bias,
                layer.multiplier,
                layer.shift,
                layer.bias_shift,
                layer.bits,
                layer.is_signed,
            )
            return integer.astype(np.float32)
        if self.form == "product":
            z = np.multiply(z, self.scale, out=self._scratch.get("product", z.shape, np.float64))
        else:
            z = z.astype(self.dtype, copy=False)
        z += self.bias
        np.rint(z, out=z)  # ties to even
        # A copy: z is scratch, which the next batch overwrites.
        return np.clip(z, low, high).astype(np.float32, copy=False)

    def _digits(self, z: FloatArray, digits: Digits) -> FloatArray:
        layer = self.layer
        out = np.zeros((*z.shape[:-1], digits.count * digits.step), np.float32)
        integers = z.astype(np.int64)
        for d in range(digits.count):
            start = d * digits.step
            out[..., start : start + layer.shape[0]] = digit(
                integers,
                layer.bias,
                layer.multiplier,
                layer.shift + ACTIVATION_WIDTH * d,
                layer.bias_shift,
            )
        return out

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
