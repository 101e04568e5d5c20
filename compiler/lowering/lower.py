# SPDX-License-Identifier: Apache-2.0
"""From the quantized network to the lowered one: the integer network of golden."""

from typing import Protocol

import numpy as np

from stemcore.golden.arithmetic.activation_tables import compose
from stemcore.golden.network.network import (
    INPUT,
    Connection,
    Layer,
    MaxPool,
    Network,
    Population,
    UnevenMaxPool,
)

from ..frontend.ops import pooling
from ..quantization.quantized import QuantizedLayer, QuantizedNetwork


class HasNetwork(Protocol):
    """What has a quantized network; a ``QuantizedModel``, whose own module would import torch."""

    @property
    def network(self) -> QuantizedNetwork:
        """The quantized network."""
        ...


def lower(quantized: QuantizedNetwork | HasNetwork) -> Network:
    """The integer network that golden model and cores run.

    An upper clamp below the largest value of the bits becomes an activation table, before the
    layer's own.
    """
    source = quantized if isinstance(quantized, QuantizedNetwork) else quantized.network
    layers = tuple(_lower_layer(layer) for layer in source.layers)
    population = Population(INPUT, source.input_shape, source.input_bits, source.input_signed)
    return Network(source.name, population, layers, source.scales(), source.tail, source.results)


def _lower_layer(layer: QuantizedLayer) -> Layer:
    connections = tuple(
        Connection(
            b.source,
            b.weight,
            b.stride,
            b.padding,
            b.groups,
            b.shift,
            b.channels,
            rows=b.rows,
            columns=b.columns,
        )
        for b in layer.branches
    )
    return Layer(
        name=layer.name,
        shape=layer.shape,
        connections=connections,
        bias=layer.bias,
        multiplier=layer.multiplier,
        shift=layer.rescale_shift,
        bias_shift=layer.bias_shift,
        bits=layer.bits,
        is_signed=layer.is_signed,
        table=_table(layer),
        pool=_pool(layer),
    )


def _pool(layer: QuantizedLayer) -> MaxPool | UnevenMaxPool | None:
    pool = layer.pool
    if pool is None:
        return None
    if isinstance(pool, pooling.MaxPool):
        return MaxPool(pool.kernel, pool.stride, pool.padding)
    return UnevenMaxPool(pool.rows, pool.columns)


def _table(layer: QuantizedLayer) -> np.ndarray | None:
    clamp = _clamp_table(layer)
    if clamp is None or layer.table is None:
        return layer.table if clamp is None else clamp
    return compose(clamp, layer.table)


def _clamp_table(layer: QuantizedLayer) -> np.ndarray | None:
    n_values = 1 << layer.bits
    if layer.is_signed or layer.top == n_values - 1:
        return None
    return np.minimum(np.arange(n_values, dtype=np.int64), layer.top)
