# SPDX-License-Identifier: Apache-2.0
"""Random lowered networks with everything that the formats allow, small enough for tiny meshes."""

import json
from dataclasses import replace

import numpy as np

from stemcore.compiler.errors import RangeError
from stemcore.compiler.lowering.calibrated import layer_is_proved
from stemcore.compiler.lowering.integrate import integrate
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.golden.network.convolution import connection_shape
from stemcore.golden.network.forward import Forward, run_network
from stemcore.golden.network.network import (
    INPUT,
    Connection,
    Layer,
    MaxPool,
    Network,
    Population,
    UnevenMaxPool,
)
from stemcore.golden.network.results import Output, Results
from stemcore.golden.network.tail import Sigmoid
from stemcore.golden.network.taps import Taps, shared_taps, transposed_taps

KERNELS = ((1, 1), (3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 3))
STRIDES = ((1, 1), (1, 1), (2, 2), (1, 2), (2, 1))
MAX_DENSE = 500  # inputs of a dense layer: its weights have to fit a core of preset "tiny"
KINDS = ("conv", "conv", "conv", "grouped", "depthwise", "average", "identity", "taps")


def random_weight(rng, *shape):
    """Weights that use the whole range, a fifth of them zero."""
    return (rng.integers(-127, 128, shape) * (rng.random(shape) < 0.8)).astype(np.int8)


def random_taps(rng, size, max_outputs):
    """Taps of an axis of ``size`` positions, and positions of their kernel: those of a transposed
    convolution, of windows with one weight, or any at all."""
    kind = int(rng.integers(3))
    if kind == 0:
        kernel = int(rng.integers(1, 4))
        stride, extra = int(rng.integers(1, 3)), int(rng.integers(0, 2))
        padding = int(rng.integers(0, min(kernel, (size - 1) * stride + kernel) // 2 + 1))
        taps = transposed_taps(size, kernel, stride, padding, extra)
        if 1 <= taps.n_outputs <= max_outputs:
            return taps, kernel
    if kind == 1:
        return shared_taps(random_spans(rng, size), size), 1
    n_outputs, kernel = int(rng.integers(1, max_outputs + 1)), int(rng.integers(1, 5))
    step = int(rng.integers(-1, 2))
    count = rng.integers(0, min(n_outputs, kernel) + 1, size).tolist()
    first = [int(rng.integers(0, n_outputs - n + 1)) for n in count]
    index = [int(rng.integers(0, kernel - n + 1)) + (n - 1 if step < 0 else 0) for n in count]
    index = [max(i, 0) for i in index]
    return Taps(n_outputs, tuple(first), tuple(count), tuple(index), step), kernel


def random_spans(rng, size):
    """Windows over ``size`` positions, of which neither starts nor stops decrease."""
    n = int(rng.integers(1, size + 1))
    starts = np.sort(rng.integers(0, size, n))
    stops = np.maximum.accumulate(np.minimum(starts + rng.integers(1, 4, n), size))
    return tuple(zip(starts.tolist(), stops.tolist(), strict=True))


def random_image(rng, population, n):
    """``n`` images (N, C, H, W) within the population's limits, its rails among them."""
    low, high = population.limits
    images = rng.integers(low, high + 1, (n, *population.shape))
    rails = rng.random(images.shape)
    return np.where(rails < 0.1, low, np.where(rails > 0.9, high, images))


def edge_images(rng, network, n_single=2):
    """Images that random ones never are: ``n_single`` of one spike each, an empty one, one of which
    a twentieth fires, and one in which every spike that a code can have is fired."""
    population = network.input
    shape, bits = population.shape, population.bits
    images = np.zeros((n_single + 3, *shape), np.int64)
    low, high = population.limits
    powers = [1 << t for t in range(bits) if 1 << t <= high]
    for image in images[:n_single]:
        image[tuple(rng.integers(0, shape))] = rng.choice(powers)
    images[n_single + 1] = np.where(rng.random(shape) < 0.05, rng.integers(low, high + 1, shape), 0)
    images[n_single + 2] = -1 if low < 0 else high  # all bits of two's complement
    return images


def random_images(rng, network, n):
    """``n`` images (N, C, H, W) for the network's input."""
    return random_image(rng, network.input, n)


def random_network(
    rng,
    *,
    n_layers=None,
    general=None,
    size=None,
    max_channels=10,
    max_size=9,
    acc_width=24,
    bits=None,
):
    """A network in integer form, calibrated so that its activations are neither all 0 nor all full.

    Convolutions of random kernel, stride, padding and groups, depthwise layers and average pooling,
    residual connections, max pooling (overlapping too), tables, signed and unsigned layers of 2 to
    8 bits, exact and general multipliers; a dense layer and perhaps another at the end.

    Parameters
    ----------
    rng : numpy Generator
    n_layers : int, optional
        Layers before the dense ones; 1 to 3 by default.
    general : bool, optional
        Free multipliers in all layers, or in none; by default in some.
    size : int, optional
        Rows of the input, and columns plus one.
    max_channels, max_size : int
        Of the input and every layer; rows and columns.
    acc_width : int
        Potentials of the calibration images stay within that many signed bits.
    bits : int, optional
        Bits of all populations; by default each has its own.
    """
    rows = int(rng.integers(4, max_size + 1)) if size is None else size
    columns = int(rng.integers(4, max_size + 1)) if size is None else size - 1
    shape = int(rng.integers(1, min(4, max_channels) + 1)), rows, columns
    input_bits = int(rng.integers(2, 9)) if bits is None else bits
    source = Population(INPUT, shape, input_bits, bool(rng.integers(2)))
    network = Network("random", source, (), {INPUT: 1.0})
    builder = Builder(rng, network, max_channels, acc_width, general, bits)
    for _ in range(int(rng.integers(1, 4)) if n_layers is None else n_layers):
        builder.add_layer()
    for _ in range(int(rng.integers(2))):
        builder.add_dense(int(rng.integers(1, max_channels + 1)))
    builder.add_dense(int(rng.integers(2, max_channels + 1)), is_signed=bool(rng.integers(4)))
    return builder.network


def with_random_outputs(rng, network):
    """The network with two or three outputs, in any order: the last layer, and others that others
    read. One of them is returned twice, the second time with a tail."""
    hidden = [layer.name for layer in network.layers[:-1]]
    n = min(int(rng.integers(1, 3)), len(hidden))
    names = [*rng.choice(hidden, n, replace=False).tolist(), network.layers[-1].name]
    names = [str(name) for name in rng.permutation(names)]
    outputs = [Output(f"head{i}", name) for i, name in enumerate(names)]
    outputs.append(Output("again", names[0], (Sigmoid(),)))
    structure = json.dumps({"tuple": list(range(len(outputs)))})
    return replace(network, results=Results(tuple(outputs), structure))


def random_stepped_network(rng, mode, *, multipliers=True, n_tries=50, **options):
    """A random network in 16-bit form, ``mode`` as in ``stemcore.compiler.lowering.integrate``.

    Small calibration sets: later images may saturate. Networks whose weight sums may leave 16 bits
    are thrown away, since what wraps raises an error.
    """
    for _ in range(n_tries):
        bits = int(rng.integers(2, 9))
        general = None if multipliers else False
        exact = buffer_skips(random_network(rng, bits=bits, general=general, **options))
        try:
            network = integrate(exact, mode, random_images(rng, exact, 2), multipliers=multipliers)
        except RangeError:
            continue
        if all(layer_is_proved(layer, network) for layer in network.layers):
            return network
    raise AssertionError(f"no 16-bit network in {n_tries} tries")


class Builder:
    """A network that grows layer by layer, each calibrated on images that went before."""

    def __init__(self, rng, network, max_channels, acc_width, general, bits):
        self.rng, self.network, self.general, self.bits = rng, network, general, bits
        self.max_channels, self.acc_width = max_channels, acc_width
        self.images = random_images(rng, network, 3)

    def add_layer(self):
        rng = self.rng
        source = self.last()
        channels, height, width = source.shape
        kind = rng.choice(KINDS)
        if kind == "average" and min(height, width) < 2:
            kind = "identity"
        if kind == "taps":
            self._add_taps(source)
            return
        kernel, stride, padding, groups, c_out = (1, 1), (1, 1), (0, 0), channels, channels
        if kind == "average":
            kernel = stride = (2, 2) if rng.integers(2) else (2, 1)
        elif kind != "identity":
            kernel = tuple(map(int, rng.choice(KERNELS)))
            stride = tuple(map(int, rng.choice(STRIDES)))
            padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
            groups = 1
            if kind == "depthwise":
                groups = channels
            elif kind == "grouped":
                groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            c_out = groups * int(rng.integers(1, max(1, self.max_channels // groups) + 1))
        kernel = tuple(min(kernel[i], source.shape[1 + i] + 2 * padding[i]) for i in range(2))
        weight = random_weight(rng, c_out, channels // groups, *kernel)
        if kind in ("average", "identity"):
            weight[:] = int(rng.choice([-64, 1, 64, 127]))
        main = Connection(source.name, weight, stride, padding, groups, int(rng.integers(0, 3)))
        shape = (c_out, *_out_size(main, source.shape))
        connections = [main, *self._second(shape)]
        if rng.integers(2):
            connections.reverse()
        self.append(shape, tuple(connections), self._pool(shape))

    def _add_taps(self, source):
        rng = self.rng
        channels, *sizes = source.shape
        (rows, ky), (columns, kx) = (random_taps(rng, n, max(sizes) + 1) for n in sizes)
        groups = int(rng.choice([1, channels]))
        c_out = groups * int(rng.integers(1, max(1, self.max_channels // groups) + 1))
        weight = random_weight(rng, c_out, channels // groups, ky, kx)
        shift = int(rng.integers(0, 3))
        main = Connection(
            source.name, weight, groups=groups, shift=shift, rows=rows, columns=columns
        )
        shape = connection_shape(main, source)
        self.append(shape, (main, *self._second(shape)), self._pool(shape))

    def add_dense(self, c_out, is_signed=None):
        source = self.last()
        while np.prod(source.shape) > MAX_DENSE:
            weight = np.full((source.shape[0], 1, 2, 2), 64, np.int8)
            mean = Connection(source.name, weight, (2, 2), groups=source.shape[0])
            shape = (source.shape[0], *_out_size(mean, source.shape))
            self.append(shape, (mean,), None)
            source = self.last()
        connection = Connection(source.name, random_weight(self.rng, c_out, *source.shape))
        self.append((c_out, 1, 1), (connection,), None, is_signed)

    def last(self):
        layers = self.network.layers
        return self.network.population(layers[-1].name if layers else INPUT)

    def _second(self, shape):
        """Sometimes a residual connection from any population that has the right size."""
        rng = self.rng
        names = [INPUT, *(layer.name for layer in self.network.layers)]
        found = [self.network.population(name) for name in names]
        found = [p for p in found if _reaches(p.shape, shape)]
        if not found or rng.integers(2):
            return
        source = found[int(rng.integers(len(found)))]
        shift = int(rng.integers(0, 4))
        if source.shape == shape:
            weight = np.full((shape[0], 1, 1, 1), int(rng.choice([1, 64, 127])), np.int8)
            yield Connection(source.name, weight, groups=shape[0], shift=shift)
        else:
            weight = random_weight(rng, shape[0], source.shape[0], 1, 1)
            yield Connection(source.name, weight, _strides(source.shape, shape), shift=shift)

    def _pool(self, shape):
        options = [None, None]
        if min(shape[1:]) >= 2:
            options.append(MaxPool((2, 2), (2, 2)))
        if min(shape[1:]) >= 3:
            options += [MaxPool((3, 3), (2, 2), (1, 1)), MaxPool((3, 2), (1, 2), (1, 0))]
            options += [MaxPool((3, 3), (2, 2))]
            options += [UnevenMaxPool(*(random_spans(self.rng, n) for n in shape[1:]))]
        return options[int(self.rng.integers(len(options)))]

    def append(self, shape, connections, pool, is_signed=None):
        rng = self.rng
        channels = shape[0]
        bits = int(rng.integers(2, 9)) if self.bits is None else self.bits
        is_signed = bool(rng.integers(3) == 0) if is_signed is None else is_signed
        name = f"layer{len(self.network.layers)}"
        zeros = np.zeros(channels, np.int64)
        raw = Layer(name, shape, connections, zeros, zeros + 1, zeros, bits=8)
        _, potentials = Forward(self._with(raw), acc_width=32).run_with_potentials(self.images)
        z = potentials[name].transpose(1, 0, 2, 3).reshape(channels, -1)
        spread = np.maximum(1, np.quantile(np.abs(z), 0.9, axis=1))

        is_general = bool(rng.integers(2)) if self.general is None else self.general
        top = (1 << (bits - (1 if is_signed else 0))) - 1
        multiplier = rng.integers(1 << 15, 1 << 16, channels) if is_general else zeros + 1
        ratio = np.log2(np.maximum(1, spread * multiplier / top))
        shift = np.clip(np.rint(ratio + rng.integers(-1, 2)), 0, 47).astype(np.int64)
        bias_shift = int(rng.integers(0, 3)) if is_general else 0
        limit = np.minimum(spread * multiplier / (1 << (8 * bias_shift)), 2**31 - 1)
        bias = np.rint(rng.uniform(-0.5, 0.5, channels) * limit).astype(np.int64)
        table = None
        if rng.integers(3) == 0:
            low, high = Population(name, shape, bits, is_signed).limits
            table = rng.integers(low, high + 1, 1 << bits)
            # Idle lanes need one value that does not fire.
            table[int(rng.integers(low, high + 1)) & ((1 << bits) - 1)] = 0
        self.network = self._with(
            Layer(
                name,
                shape,
                connections,
                bias,
                multiplier,
                shift,
                bias_shift,
                bits,
                is_signed,
                table,
                pool,
            )
        )
        run_network(self.network, self.images, acc_width=self.acc_width, keep=())

    def _with(self, layer):
        network = self.network
        scales = {**network.scales, layer.name: 1.0}
        return Network(network.name, network.input, (*network.layers, layer), scales)


def _strides(source, shape):
    """1 or 2 in y and x, whatever comes closer to making ``shape`` out of ``source``."""
    return tuple(2 if source[1 + i] > shape[1 + i] else 1 for i in range(2))


def _reaches(source, shape):
    strides = _strides(source, shape)
    return all(-(-source[1 + i] // strides[i]) == shape[1 + i] for i in range(2))


def _out_size(connection, shape):
    return tuple(
        (shape[1 + i] + 2 * connection.padding[i] - connection.weight.shape[2 + i])
        // connection.stride[i]
        + 1
        for i in range(2)
    )
