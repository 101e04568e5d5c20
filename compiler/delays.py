# SPDX-License-Identifier: Apache-2.0
"""Delays: identity layers that make all paths between two populations equally long.

Where tokens are exchanged per time step, a core fires a time step only when all its destinations
have taken the one before. A source that is read both by a layer and by what follows from that layer
would wait for a neuron that itself waits for the source's next time step. So every layer has to
read populations of one level, the number of layers between them and the input; hdl/README.md shows
that nothing can then stand still.
"""

from dataclasses import replace

import numpy as np

from golden.network import INPUT, Connection, Layer, Network, Population


def levels(network: Network) -> dict[str, int]:
    """Longest path from the input to every population, in layers."""
    level = {INPUT: 0}
    for layer in network.layers:
        level[layer.name] = 1 + max(level[c.source] for c in layer.connections)
    return level


def delay_name(source: str, n: int) -> str:
    """Name of the ``n``-th delay of a population, counted from 1."""
    return f"{source}.delay{n}"


def insert_delays(network: Network) -> Network:
    """The same function, every connection between neighbouring levels.

    Populations that are read more than one level later go through a chain of identity layers, which
    all their readers share. Values of the network's own layers do not change.
    """
    level = levels(network)
    layers: list[Layer] = []
    scales = dict(network.scales)
    made: dict[str, int] = {}
    for layer in network.layers:
        connections = []
        for connection in layer.connections:
            source = connection.source
            missing = level[layer.name] - level[source] - 1
            for n in range(made.get(source, 0) + 1, missing + 1):
                name = delay_name(source, n)
                layers.append(_identity(name, network.population(source), n))
                scales[name] = scales.get(source, 1.0)
            made[source] = max(made.get(source, 0), missing)
            delayed = delay_name(source, missing) if missing else source
            connections.append(replace(connection, source=delayed))
        layers.append(replace(layer, connections=tuple(connections)))
    return replace(network, layers=tuple(layers), scales=scales)


def _identity(name: str, source: Population, n: int) -> Layer:
    channels = source.shape[0]
    before = source.name if n == 1 else delay_name(source.name, n - 1)
    weight = np.ones((channels, 1, 1, 1), np.int8)
    zeros, ones = np.zeros(channels, np.int64), np.ones(channels, np.int64)
    return Layer(
        name, source.shape, (Connection(before, weight, groups=channels),), zeros, ones, zeros,
        bits=source.bits, is_signed=source.is_signed,
    )  # fmt: skip
