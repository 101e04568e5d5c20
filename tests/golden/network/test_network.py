# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.network.network import (
    INPUT,
    Connection,
    Layer,
    MaxPool,
    Network,
    Population,
    UnevenMaxPool,
)


@pytest.mark.parametrize(
    ("bits", "is_signed", "limits"),
    [(8, False, (0, 255)), (2, False, (0, 3)), (8, True, (-127, 127)), (2, True, (-1, 1))],
)
def test_limits_are_those_of_the_code(bits, is_signed, limits):
    assert Population("p", (1, 1, 1), bits, is_signed).limits == limits


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (None, (3, 7, 8)),
        (MaxPool((2, 2), (2, 2)), (3, 3, 4)),
        (MaxPool((3, 3), (2, 2), (1, 1)), (3, 4, 4)),
        (MaxPool((3, 1), (1, 2)), (3, 5, 4)),
        (UnevenMaxPool(((0, 3), (2, 7)), ((0, 1), (1, 2), (7, 8))), (3, 2, 3)),
    ],
)
def test_populations_are_found_by_name(pool, shape):
    constants = np.ones(3, np.int64)
    connection = Connection(INPUT, np.ones((3, 1, 1, 1), np.int8))
    layer = Layer(
        "conv", (3, 7, 8), (connection,), constants, constants, constants, bits=5, pool=pool
    )
    source = Population(INPUT, (1, 7, 8), 8, True)
    network = Network("n", source, (layer,), {})
    assert network.population(INPUT) is source
    assert network.population("conv") == Population("conv", shape, 5, False)
    assert network.output is layer
    with pytest.raises(KeyError):
        network.population("dense")
