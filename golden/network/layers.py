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
from ..arithmetic.fixed import MAX_SHIFT
from ..spec.integers import limits
from ..spec.neurons import model_of
from ..spec.widths import ACTIVATION_WIDTH
from ..spec.windows import check_spans, window_shape
from .convolution import FloatArray, connection_shape
from .network import Connection, Layer, MaxPool, Network, UnevenMaxPool
from .period_sums import final_bounds, potentials_of
from .requantizers import requantizer_of, wraps
from .taps import check_taps


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
    if isinstance(layer.pool, UnevenMaxPool):
        for spans, size in zip((layer.pool.rows, layer.pool.columns), layer.shape[1:], strict=True):
            check_spans(spans, size, f"{layer.name}: pooling")
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
        _check_taps(layer, connection, source.shape[1:])
        shape = connection_shape(connection, source)
        if shape != layer.shape:
            raise ValueError(
                f"{layer.name}: connection from {connection.source} must give shape {layer.shape}, "
                f"gives {shape}"
            )


def _check_taps(layer: Layer, connection: Connection, sizes: tuple[int, int]) -> None:
    for axis, taps in enumerate((connection.rows, connection.columns)):
        if taps is None:
            continue
        where = f"{layer.name}: {('rows', 'columns')[axis]} from {connection.source}"
        check_taps(taps, connection.weight.shape[2 + axis], where)
        window = connection.stride[axis], connection.padding[axis]
        if taps.size != sizes[axis] or window != (1, 0):
            raise ValueError(
                f"{where}: taps must be those of {sizes[axis]} positions, with stride 1 and "
                f"padding 0; are those of {taps.size}, with {window[0]} and {window[1]}"
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
        or not model_of(layer.neuron).is_exact
        or layer.table is not None
        or layer.pool is not None
    ):
        raise ValueError(
            f"{layer.name}: digits need {ACTIVATION_WIDTH} unsigned bits, exact integration, no "
            f"table and no pooling; got bits {layer.bits}, is_signed {layer.is_signed}, "
            f"integration {layer.neuron.MODEL_NAME}, table {layer.table is not None}, "
            f"pool {layer.pool}"
        )


def max_pool(values: NDArray[Any], pool: MaxPool | UnevenMaxPool) -> NDArray[Any]:
    """Maximum over windows of (N, H, W, C); what lies outside the border never wins."""
    if isinstance(pool, UnevenMaxPool):
        rows = np.stack([values[:, a:b].max(axis=1) for a, b in pool.rows], axis=1)
        return np.stack([rows[:, :, a:b].max(axis=2) for a, b in pool.columns], axis=2)
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
    """A layer made ready for :meth:`run`: potentials by its neuron model, then requantization."""

    def __init__(self, layer: Layer, network: Network, acc_width: int):
        check_layer(layer, network)
        self.layer = layer
        self.acc_width = acc_width
        low, high = final_bounds(layer, network)
        half = 1 << (acc_width - 1)
        self.must_check = low < -half or high >= half
        self.requantize = requantizer_of(layer, low, high, acc_width)
        self.potentials = potentials_of(layer, network, self.requantize.unit)
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
        self.pools_first = (
            layer.pool is not None and ordered and not wraps(layer, low, high, acc_width)
        )

    def run(self, values: dict[str, FloatArray], keep_potentials: bool) -> LayerResult:
        """From the source activations, by population name, to this layer's."""
        layer = self.layer
        z = self.potentials(values)
        if self.must_check:
            self._check(z)
        potentials = z / self.requantize.unit if keep_potentials else None
        if layer.pool is not None and self.pools_first:
            z = max_pool(z, layer.pool)
        q = self.requantize(z)
        if layer.table is not None:
            q = apply(layer.table, q.astype(np.int64)).astype(np.float32)
        if layer.pool is not None and not self.pools_first:
            q = max_pool(q, layer.pool)
        return LayerResult(q, potentials)

    def _check(self, z: FloatArray) -> None:
        half = 1 << (self.acc_width - 1)
        worst = (z / self.requantize.unit).reshape(-1, z.shape[-1])
        low, high = worst.min(axis=0), worst.max(axis=0)
        bad = np.flatnonzero((low < -half) | (high >= half))
        if bad.size:
            c = int(bad[0])
            raise ValueError(
                f"{self.layer.name}: membrane potentials must fit in {self.acc_width} signed bits, "
                f"channel {c} reached {int(low[c])}..{int(high[c])}; use a wider accumulator or "
                "smaller weights"
            )
