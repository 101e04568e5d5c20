# SPDX-License-Identifier: Apache-2.0
"""Lowered networks written down briefly, for tests that need a certain shape."""

import numpy as np

from stemcore.golden.network.network import INPUT, Connection, Layer, MaxPool, Network, Population


def plain_layer(name, shape, *connections, **changes):
    """A layer with bias 0 and shift 8."""
    zeros = np.zeros(shape[0], np.int64)
    settings = {"bias": zeros, "multiplier": zeros + 1, "shift": zeros + 8, **changes}
    return Layer(name, shape, connections, **settings)


def convolution(source, c_in, c_out, kernel, *, stride=1, padding=0, groups=1, shift=0, value=None):
    """Weights 1, 2, 3 .. (modulo 127), or all ``value``."""
    shape = (c_out, c_in // groups, *kernel)
    weight = np.arange(1, np.prod(shape) + 1).reshape(shape) % 127
    if value is not None:
        weight = np.full(shape, value)
    return Connection(
        source, weight.astype(np.int8), (stride, stride), (padding, padding), groups, shift
    )


def chain(shape, *items, bits=8, is_signed=False):
    """A network from items.

    ``channels`` is a 3 x 3 convolution that keeps the size, ``"M"`` a 2 x 2 maximum of the layer
    before, ``("dense", channels)`` a dense layer.
    """
    layers, source, current = [], INPUT, tuple(shape)
    for item in items:
        if item == "M":
            last = layers.pop()
            layers.append(
                plain_layer(last.name, last.shape, *last.connections, pool=MaxPool((2, 2), (2, 2)))
            )
        elif isinstance(item, tuple):
            connection = convolution(source, current[0], item[1], current[1:])
            layers.append(plain_layer(f"layer{len(layers)}", (item[1], 1, 1), connection))
        else:
            connection = convolution(source, current[0], item, (3, 3), padding=1)
            layers.append(plain_layer(f"layer{len(layers)}", (item, *current[1:]), connection))
        source, current = layers[-1].name, layers[-1].out_shape
    scales = dict.fromkeys([INPUT, *(layer.name for layer in layers)], 1.0)
    return Network("chain", Population(INPUT, tuple(shape), bits, is_signed), tuple(layers), scales)
