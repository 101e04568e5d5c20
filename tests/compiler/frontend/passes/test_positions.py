# SPDX-License-Identifier: Apache-2.0
"""Constants of images, and dense layers that make images: one neuron that fires, no copies."""

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.ops.layer import LEARNED
from stemcore.compiler.frontend.ops.offset import split_offset
from stemcore.compiler.frontend.ops.operator import ARRANGEMENTS
from stemcore.compiler.frontend.ops.unflatten import Unflatten
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.quantization.quantize import quantize
from tests.support.torch_nets import chain


def layers_of(module, shape, rng):
    """Nodes by name, after a comparison with the module."""
    graph = form_layers(capture(module.eval(), shape))
    x = torch.from_numpy(rng.normal(size=(2, *shape)))
    with torch.no_grad():
        expected = module.double()(x)
    got = run_graph(graph, x, torch.float64)[graph.output]
    np.testing.assert_allclose(got.flatten(1), expected.flatten(1), rtol=1e-9, atol=1e-9)
    return {node.name: node.op for node in graph.nodes}


class Added(nn.Module):
    def __init__(self, constant):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.register_buffer("constant", constant)

    def forward(self, x):
        return self.conv(x) + self.constant


def test_a_constant_of_an_image_joins_the_sum_that_it_is_added_to(rng):
    layers = layers_of(Added(torch.arange(24.0).reshape(2, 3, 4)), (1, 3, 4), rng)
    assert list(layers) == ["one", "add"]
    assert [branch.source for branch in layers["add"].branches] == ["input", "one"]
    assert layers["add"].branches[1].weight.shape == (2, 1, 3, 4)
    assert layers["one"].branches[0].output_shape((1, 3, 4)) == (1, 1, 1)


def test_a_constant_that_is_equal_everywhere_needs_no_neuron(rng):
    constant = torch.tensor([0.5, -1.0])[:, None, None].expand(2, 3, 4)
    assert list(layers_of(Added(constant), (1, 3, 4), rng)) == ["conv"]


def test_two_constants_share_their_neuron(rng):
    module = chain(Added(torch.rand(2, 3, 3)), nn.ReLU(), nn.Conv2d(2, 1, 1), Added(torch.rand(3)))
    assert list(layers_of(module, (1, 3, 3), rng)) == ["one", "0.add", "2", "3.add"]


def test_the_neuron_fires_whatever_the_input_is(rng):
    module = Added(torch.randn(2, 3, 3)).eval()
    x = rng.integers(-127, 128, (4, 1, 3, 3))
    x[0] = 0
    model = quantize(capture(module, (1, 3, 3)), x)
    one = model(torch.from_numpy(x))["one"]
    assert one.shape == (4, 1, 1, 1)
    assert (one * model.network.scales()["one"] == 1).all()


@pytest.mark.parametrize("between", [(), (nn.ReLU(),), (nn.BatchNorm1d(12), nn.ReLU6())])
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_makes_the_image(between, bias, rng):
    module = chain(
        nn.Flatten(),
        nn.Linear(5, 4),
        nn.Linear(4, 12, bias=bias),
        *between,
        nn.Unflatten(1, (3, 2, 2)),
        nn.Conv2d(3, 2, 2),
    )
    layers = layers_of(module, (5, 1, 1), rng)
    assert list(layers) == [*["one"] * bias, "1", "2", str(4 + len(between))]
    assert layers["2"].shape == (3, 2, 2)
    assert layers["2"].branches[0].weight.shape == (3, 4, 2, 2)


def test_a_dense_layer_over_an_image_keeps_its_vector(rng):
    module = chain(nn.Flatten(), nn.Linear(6, 8), nn.Unflatten(1, (2, 2, 2)), nn.ReLU())
    layers = layers_of(module, (1, 2, 3), rng)
    assert list(layers) == ["1", "2"]
    (copy,) = layers["2"].branches
    assert (copy.kind, np.unique(copy.weight).tolist()) == (LEARNED, [0, 1])


def test_a_vector_with_two_readers_stays(rng):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(8, 5), nn.Conv2d(2, 5, 2)

        def forward(self, x):
            y = self.a(x.flatten(1))
            return self.c(y.view(-1, 2, 2, 2)).flatten(1) + self.b(y)

    layers = layers_of(Net(), (3, 1, 1), rng)
    assert list(layers) == ["a", "view", "add"]
    assert layers["a"].shape == (8, 1, 1)


def test_the_rest_of_a_constant_is_as_small_as_can_be():
    bias, rest = split_offset(np.array([[[1.0, 4.0]], [[-3.0, -3.0]]]))
    np.testing.assert_array_equal(bias, [2.5, -3])
    np.testing.assert_array_equal(rest, [[[[-1.5, 1.5]]], [[[0, 0]]]])


@pytest.mark.parametrize("shape", [(3, 2, 2), (1, 2, 2), (2, 3, 3), (4, 1, 3)])
def test_one_operator_alone_makes_a_vector_an_image(shape):
    """Else the order in which modules were imported would say which."""
    positions = np.arange(np.prod(shape)).reshape(shape)
    found = [arrange(positions, (positions.size, 1, 1)) for arrange in ARRANGEMENTS]
    assert [type(op) for op in found if op is not None] == [Unflatten]
