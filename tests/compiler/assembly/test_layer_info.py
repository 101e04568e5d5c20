# SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-accumulates that reports state."""

import numpy as np
import pytest

from stemcore.compiler.assembly.layer_info import layer_info
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population

CHANNELS = 4


def counted(weight, groups=1):
    """Parameters and multiply-accumulates of one layer on maps of 5 x 5."""
    weight = np.asarray(weight, np.int8)
    channels, size = len(weight), 6 - weight.shape[-1]
    layer = Layer(
        "a",
        (channels, size, size),
        (Connection(INPUT, weight, groups=groups),),
        np.zeros(channels, np.int64),
        np.ones(channels, np.int64),
        np.full(channels, 4),
    )
    network = Network("net", Population(INPUT, (CHANNELS, 5, 5), 8, False), (layer,), {})
    found = layer_info(network, layer)
    return found.n_parameters, found.n_macs


@pytest.mark.parametrize("value", [1, 7])
def test_identities_and_average_pools_have_no_parameters(value):
    weight = np.full((CHANNELS, 1, 1, 1), value)
    assert counted(weight, groups=CHANNELS) == (0, CHANNELS * 25)
    weight = np.full((CHANNELS, 1, 3, 3), value)
    assert counted(weight, groups=CHANNELS) == (0, CHANNELS * 9 * 9)


def test_what_is_learned_counts_with_its_bias():
    weight = np.ones((CHANNELS, 1, 1, 1), int)
    weight[2] = 3  # depthwise, with a weight of its own
    assert counted(weight, groups=CHANNELS) == (2 * CHANNELS, CHANNELS * 25)
    # One value for all weights, but not depthwise.
    assert counted(np.ones((3, CHANNELS, 1, 1))) == (3 * CHANNELS + 3, 3 * CHANNELS * 25)
    half = np.ones((CHANNELS, 2, 1, 1))
    assert counted(half, groups=2) == (2 * CHANNELS + CHANNELS, 2 * CHANNELS * 25)
