# SPDX-License-Identifier: Apache-2.0
"""What reports have to know of a layer: shape, parameters, multiply-accumulates."""

from stemcore.golden.network.network import Connection, Layer, Network
from stemcore.golden.program.program import LayerInfo

from ..mapping.connectivity import taps


def layer_info(network: Network, layer: Layer) -> LayerInfo:
    """Population, shape, multiply-accumulates per image and parameters of a layer, placed or not.

    Of a layer whose fan-in is split, the partial sums have the weights and their
    multiply-accumulates, the layer that adds them up has the biases.
    """
    digits = _digit_sources(network)
    own = [c for c in layer.connections if c.source not in digits]
    n_parameters = sum(c.weight.size for c in own if not _is_constant(c))
    if layer.name not in digits and (n_parameters or len(own) < len(layer.connections)):
        n_parameters += layer.shape[0]
    n_macs = sum(count_macs(network, layer, connection) for connection in own)
    return LayerInfo(layer.population, layer.shape, n_macs, n_parameters)


def _digit_sources(network: Network) -> set[str]:
    """Populations that fire digits: partial sums of split layers, and skip buffers behind these."""
    names: set[str] = set()
    for layer in network.layers:
        is_buffer = all(c.channels is None and c.source in names for c in layer.connections)
        if layer.digits is not None or is_buffer:
            names.add(layer.name)
    return names


def _is_constant(connection: Connection) -> bool:
    """Whether it is average pooling or an identity: depthwise, with one value for all weights."""
    return (
        connection.groups == connection.weight.shape[0]
        and connection.weight.shape[1] == 1
        and bool((connection.weight == connection.weight.flat[0]).all())
    )


def count_macs(network: Network, layer: Layer, connection: Connection) -> int:
    """Multiply-accumulates per image of a connection; products with padding are not counted."""
    shape = network.population(connection.source).shape
    n_rows, n_columns = (
        int(taps(connection, axis, shape[1 + axis], (0, layer.shape[1 + axis]))[1].sum())
        for axis in (0, 1)
    )
    return n_rows * n_columns * layer.shape[0] * int(connection.weight.shape[1])
