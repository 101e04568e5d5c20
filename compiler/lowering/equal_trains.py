# SPDX-License-Identifier: Apache-2.0
"""Spike trains of one length wherever they meet, for cores that exchange tokens per time step.

Such a core counts the time steps of all its sources together, so trains of 4 and of 8 steps cannot
meet in it. The shorter one becomes longer: the population gets the bits of the longer one, and a
table keeps its values within the limits that it had. In binary these are zeros in front, or copies
of the sign.
"""

from dataclasses import replace

import numpy as np

from stemcore.golden.arithmetic.activation_tables import identity
from stemcore.golden.network.network import INPUT, Layer, Network
from stemcore.golden.spec.integers import limits


def equal_trains(network: Network) -> Network:
    """The network with populations of as many bits as others that meet them; values stay."""
    bits = {INPUT: network.input.bits, **{layer.name: layer.bits for layer in network.layers}}
    changes = True
    while changes:
        changes = False
        for layer in network.layers:
            sources = {connection.source for connection in layer.connections} - {INPUT}
            most = max(bits[connection.source] for connection in layer.connections)
            for name in sources:
                changes |= bits[name] < most
                bits[name] = max(bits[name], most)
    layers = tuple(_with_bits(layer, bits[layer.name]) for layer in network.layers)
    return replace(network, layers=layers)


def _with_bits(layer: Layer, bits: int) -> Layer:
    if bits == layer.bits:
        return layer
    low, high = limits(layer.bits, layer.is_signed)
    within = np.clip(identity(bits, layer.is_signed), low, high)
    if layer.table is None:
        return replace(layer, bits=bits, table=within)
    return replace(layer, bits=bits, table=layer.table[within & ((1 << layer.bits) - 1)])
