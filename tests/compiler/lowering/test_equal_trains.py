# SPDX-License-Identifier: Apache-2.0
"""Spike trains that meet get one length, and every value stays what it was."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.lowering.equal_trains import equal_trains
from stemcore.golden.network.forward import run_network


class Meets(nn.Module):
    """A skip from the input, one from a layer in front, and signed values among them."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.last = nn.Linear(3 * 25, 4)

    def forward(self, x):
        y = torch.relu(self.a(x))
        z = self.b(y) + x  # signed
        return self.last(torch.relu(self.c(z) + y).flatten(1))


def images(rng, n=12):
    x = rng.integers(-127, 128, (n, 3, 5, 5))
    x[1] *= rng.random(x[1].shape) < 0.05
    x[2] = 0
    x[3] = 0
    x[3, 1, 2, 2] = 1
    return x


@pytest.mark.medium
@pytest.mark.parametrize("bits", [4, "a=2", "*=3,add=8", "8,add=5,a=7", "2,add=4,add_2=6"])
@pytest.mark.parametrize("integration", ["late", "scaled"])
def test_layers_of_different_bits_meet_on_cores_that_exchange_time_steps(bits, integration, rng):
    torch.manual_seed(int(rng.integers(1000)))
    x = images(rng)
    compiled = stemcore.compile(
        Meets().eval(), calibration=x, bits=bits, integration=integration, input="signed"
    )
    network = compiled.network
    for layer in network.layers:
        assert len({network.population(c.source).bits for c in layer.connections}) == 1
    assert compiled.run(x[:5], engine="program").bit_exact


@pytest.mark.medium
@pytest.mark.parametrize("tables", ["none", "rot1"])
def test_values_do_not_change(tables, rng):
    x = images(rng)
    for bits in itertools.islice(itertools.product((2, 3, 5, 8), repeat=3), 0, None, 5):
        a, first, second = bits
        compiled = stemcore.compile(
            Meets().eval(),
            calibration=x,
            bits={"a": a, "add": first, "add_2": second},
            tables=tables,
            input="signed",
            stop="skip_buffers",
        )
        network = compiled.compilation.result("skip_buffers")
        longer = equal_trains(network)
        wanted, found = run_network(network, x), run_network(longer, x)
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        for layer in longer.layers:
            assert len({longer.population(c.source).bits for c in layer.connections}) == 1


def test_networks_whose_trains_are_of_one_length_stay(rng):
    compiled = stemcore.compile(
        Meets().eval(), calibration=images(rng), input="signed", stop="skip_buffers"
    )
    network = compiled.compilation.result("skip_buffers")
    assert equal_trains(network).layers == network.layers
