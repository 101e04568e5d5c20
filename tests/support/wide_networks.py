# SPDX-License-Identifier: Apache-2.0
"""Random networks of what ``random_networks`` leaves out: far windows, many connections, spans."""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import INPUT, Connection, MaxPool, Network, Population
from stemcore.golden.spec.windows import window_shape
from tests.support.random_networks import Builder, random_taps, random_weight

MAX_SYNAPSES = 320  # of one neuron: what the cores of preset "tiny" have room for


def wide_network(
    rng,
    *,
    n_layers=None,
    general=None,
    max_channels=8,
    max_size=10,
    max_connections=4,
    acc_width=24,
    bits=None,
):
    """A network in integer form, as ``random_network`` makes them, of stranger layers.

    Dilated kernels, kernels of up to nine rows, padding up to a whole kernel less one, strides of
    up to five, three to six connections onto one layer, connections from some of a population's
    channels, dense layers before others, max pooling that leaves positions out.

    Parameters
    ----------
    rng : numpy Generator
    n_layers : int, optional
        Layers before the last dense one; 1 to 3 by default.
    general : bool, optional
        Free multipliers in all layers, or in none; by default in some.
    max_channels, max_size : int
        Of the input and every layer; rows and columns of the input.
    max_connections : int
        Of a layer; the cores of preset "tiny" have room for four.
    acc_width : int
        Potentials of the calibration images stay within that many signed bits.
    bits : int, optional
        Bits of all populations; by default each has its own.
    """
    shape = tuple(int(rng.integers(1, n + 1)) for n in (4, max_size, max_size))
    input_bits = int(rng.integers(2, 9)) if bits is None else bits
    source = Population(INPUT, shape, input_bits, bool(rng.integers(2)))
    network = Network("wide", source, (), {INPUT: 1.0})
    builder = _WideBuilder(rng, network, max_channels, acc_width, general, bits)
    builder.max_connections = max_connections
    for _ in range(int(rng.integers(1, 4)) if n_layers is None else n_layers):
        builder.add_wide_layer()
    builder.add_dense(int(rng.integers(2, max_channels + 1)), is_signed=bool(rng.integers(4)))
    return builder.network


class _WideBuilder(Builder):
    def add_wide_layer(self):
        """One layer of a random kind."""
        source = self.last()
        kinds = [self.far_window, self.far_window, self.many, self.dense]
        kind = kinds[int(self.rng.integers(len(kinds)))]
        if source.shape[1:] == (1, 1) and self.rng.integers(2):
            kind = self.spread
        main = kind(source)
        shape = self.shape_of(main)
        connections = [main]
        if kind == self.many:
            n_more = int(self.rng.integers(1, self.max_connections))
            connections += [self.another(shape) for _ in range(n_more)]
            self.rng.shuffle(connections)
        self.append(shape, tuple(connections), self.sparse_pool(shape))

    def shape_of(self, connection):
        """(C, H, W) that a connection gives."""
        source = self.network.population(connection.source)
        sizes = (connection.taps(axis, source.shape[1 + axis]).n_outputs for axis in (0, 1))
        return (connection.weight.shape[0], *sizes)

    def channels_of(self, source, size):
        """Some of the source's channels, so that ``size`` positions of a kernel fit; and groups."""
        most = max(1, min(source.shape[0], MAX_SYNAPSES // size))
        count = int(self.rng.integers(1, most + 1))
        first = int(self.rng.integers(0, source.shape[0] - count + 1))
        groups = count if self.rng.integers(3) == 0 else 1
        span = None if count == source.shape[0] else (first, first + count)
        return count, groups, span

    def convolve(self, source, kernel, stride, padding, c_out=None, dilation=(1, 1)):
        """A connection from some channels of ``source``."""
        rng = self.rng
        count, groups, span = self.channels_of(source, int(np.prod(kernel)))
        if c_out is None:
            c_out = groups * int(rng.integers(1, max(1, self.max_channels // groups) + 1))
        elif c_out % groups:
            groups = 1
        weight = random_weight(rng, c_out, count // groups, *kernel)
        for axis, step in enumerate(dilation):
            kept = np.arange(kernel[axis]) % step == 0
            weight *= kept.reshape((-1, 1) if axis == 0 else (1, -1))
        shift = int(rng.integers(0, 3))
        return Connection(source.name, weight, stride, padding, groups, shift, span)

    def far_window(self, source):
        """A window that reaches far: its kernel, its stride, its padding or its gaps."""
        rng, kernel, stride, padding, dilation = self.rng, [], [], [], []
        for size in source.shape[1:]:
            step = int(rng.integers(1, 4))
            taps = int(rng.integers(1, 4 if step > 1 else 10))
            reach = (taps - 1) * step + 1
            before = int(rng.integers(0, reach))
            if reach > size + 2 * before:
                reach, step, before = size, 1, 0
            kernel.append(reach)
            dilation.append(step)
            padding.append(before)
            stride.append(int(rng.integers(1, 6)))
        return self.convolve(
            source, tuple(kernel), tuple(stride), tuple(padding), dilation=tuple(dilation)
        )

    def many(self, source):
        """A window that keeps the size, so that others can join it."""
        return self.same_size(source)

    def same_size(self, source, c_out=None):
        """An odd kernel in the middle of its padding."""
        kernel = tuple(int(self.rng.choice([1, 3, 5])) for _ in range(2))
        padding = tuple(k // 2 for k in kernel)
        return self.convolve(source, kernel, (1, 1), padding, c_out)

    def another(self, shape):
        """A connection onto a layer of ``shape``, from any population that has its size."""
        names = [INPUT, *(layer.name for layer in self.network.layers)]
        found = [self.network.population(name) for name in names]
        found = [population for population in found if population.shape[1:] == shape[1:]]
        return self.same_size(found[int(self.rng.integers(len(found)))], shape[0])

    def dense(self, source):
        """From every position of some channels."""
        return self.convolve(source, source.shape[1:], (1, 1), (0, 0))

    def spread(self, source):
        """From the single position of a dense layer to an image."""
        (rows, ky), (columns, kx) = (random_taps(self.rng, 1, 6) for _ in range(2))
        connection = self.convolve(source, (ky, kx), (1, 1), (0, 0))
        return replace(connection, rows=rows, columns=columns)

    def sparse_pool(self, shape):
        """Max pooling whose windows leave positions out, overlap, or hang over the border."""
        rng = self.rng
        if rng.integers(2):
            return None
        kernel = tuple(int(rng.integers(1, min(n, 4) + 1)) for n in shape[1:])
        stride = tuple(int(rng.integers(1, k + 3)) for k in kernel)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        pool = MaxPool(kernel, stride, padding)
        return pool if min(window_shape(shape[1:], kernel, stride, padding)) > 0 else None
