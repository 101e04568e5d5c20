# SPDX-License-Identifier: Apache-2.0
"""The lowered network in plain loops over Python integers, as its equations read."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.fixed import requantize_one
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, UnevenMaxPool
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.neurons.exact import Exact
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.neurons.scaled import Scaled

Values = dict[str, NDArray[np.int64]]


def plain_potentials(network: Network, layer: Layer, values: Values) -> NDArray[np.int64]:
    """z of one image, synapse by synapse."""
    z = np.zeros(layer.shape, np.int64)
    for connection in layer.connections:
        x = values[connection.source]
        if connection.rows is not None or connection.columns is not None:
            z += plain_tap_sums(layer, connection, x)
            continue
        c_out, c_in, ky, kx = connection.weight.shape
        (sy, sx), (py, px) = connection.stride, connection.padding
        for co, oy, ox in product(*(range(n) for n in layer.shape)):
            group = co // (c_out // connection.groups)
            for ci, dy, dx in product(range(c_in), range(ky), range(kx)):
                y, column = oy * sy + dy - py, ox * sx + dx - px
                if 0 <= y < x.shape[1] and 0 <= column < x.shape[2]:
                    w = int(connection.weight[co, ci, dy, dx]) << connection.shift
                    z[co, oy, ox] += w * int(x[group * c_in + ci, y, column])
    return z


def plain_tap_sums(layer: Layer, connection: Connection, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Synapse by synapse from the source's side, as a core's tables have them."""
    z = np.zeros(layer.shape, np.int64)
    rows, columns = (connection.taps(axis, x.shape[1 + axis]) for axis in (0, 1))
    c_out, c_in = connection.weight.shape[:2]
    for y, column in product(range(x.shape[1]), range(x.shape[2])):
        for j, i in product(range(rows.count[y]), range(columns.count[column])):
            oy, ox = rows.first[y] + j, columns.first[column] + i
            ky, kx = rows.index[y] + j * rows.step, columns.index[column] + i * columns.step
            for co, ci in product(range(c_out), range(c_in)):
                group = co // (c_out // connection.groups)
                w = int(connection.weight[co, ci, ky, kx]) << connection.shift
                z[co, oy, ox] += w * int(x[group * c_in + ci, y, column])
    return z


def plain_update(neuron: Neuron, v: int, i: int, t: int, n_steps: int) -> int:
    """The equations of the 16-bit models as they are written, on fractions."""
    v = 0 if t == 0 else v
    if isinstance(neuron, Scaled):
        total = 2 * v + round(Fraction(neuron.multiplier, 1 << neuron.shift) * i)
    else:
        assert isinstance(neuron, Late), f"write the equation of {type(neuron).__name__} here"
        last = n_steps - 1 - neuron.shift  # that doubles
        total = 2 * v + i if t <= last else v + floor(Fraction(i, 1 << (t - last)))
    return min(max(total, -(1 << 15)), (1 << 15) - 1)


def plain_stepped_potentials(network: Network, layer: Layer, values: Values) -> NDArray[np.int64]:
    """V[T-1] of one image, time step by time step."""
    sources = {c.source: network.population(c.source) for c in layer.connections}
    (n_steps,) = {source.bits for source in sources.values()}
    v = np.zeros(layer.shape, np.int64)
    for t in range(n_steps):
        planes = {}
        for name, source in sources.items():
            bit = (values[name] >> (n_steps - 1 - t)) & 1
            planes[name] = -bit if source.is_signed and t == 0 else bit
        i = plain_potentials(network, layer, planes)
        for place in product(*(range(n) for n in layer.shape)):
            v[place] = plain_update(layer.neuron, int(v[place]), int(i[place]), t, n_steps)
    return v


def plain_activations(layer: Layer, z: NDArray[np.int64]) -> NDArray[np.int64]:
    """Requantization, table and pooling of one image."""
    q = np.zeros(layer.shape, np.int64)
    for c, y, x in product(*(range(n) for n in layer.shape)):
        value = requantize_one(
            int(z[c, y, x]),
            int(layer.bias[c]),
            int(layer.multiplier[c]),
            int(layer.shift[c]),
            layer.bias_shift,
            layer.bits,
            layer.is_signed,
        )
        q[c, y, x] = value if layer.table is None else layer.table[value % (1 << layer.bits)]
    if layer.pool is None:
        return q
    if isinstance(layer.pool, UnevenMaxPool):
        spans = product(layer.pool.rows, layer.pool.columns)
        largest = [q[:, a:b, c:d].max(axis=(1, 2)) for (a, b), (c, d) in spans]
        return np.stack(largest, axis=1).reshape(layer.out_shape)
    (ky, kx), (sy, sx), (py, px) = layer.pool.kernel, layer.pool.stride, layer.pool.padding
    out = np.zeros(layer.out_shape, np.int64)
    for c, oy, ox in product(*(range(n) for n in layer.out_shape)):
        out[c, oy, ox] = max(
            int(q[c, y, x])
            for y in range(oy * sy - py, oy * sy - py + ky)
            for x in range(ox * sx - px, ox * sx - px + kx)
            if 0 <= y < q.shape[1] and 0 <= x < q.shape[2]
        )
    return out


def plain_network(network: Network, image: NDArray[np.int64]) -> tuple[Values, Values]:
    """Activations and potentials of every population for one image (C, H, W)."""
    values: Values = {INPUT: image.astype(np.int64)}
    potentials: Values = {}
    for layer in network.layers:
        integrate = plain_potentials if layer.neuron == Exact() else plain_stepped_potentials
        potentials[layer.name] = integrate(network, layer, values)
        values[layer.name] = plain_activations(layer, potentials[layer.name])
    return values, potentials
