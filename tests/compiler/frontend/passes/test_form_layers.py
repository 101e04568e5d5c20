# SPDX-License-Identifier: Apache-2.0
"""Every pass keeps what the graph computes; together they leave layers only."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.graph import check_shapes
from stemcore.compiler.frontend.ops.clamp import Clamp
from stemcore.compiler.frontend.ops.layer import AVERAGE, IDENTITY, LEARNED, Layer
from stemcore.compiler.frontend.ops.pooling import MaxPool
from stemcore.compiler.frontend.passes import PIPELINE, form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from tests.support.torch_nets import NETS, build, chain


def layers_of(module, shape):
    graph = form_layers(capture(module.eval(), shape))
    return {node.name: node for node in graph.nodes}


@pytest.mark.parametrize("name", NETS)
def test_every_pass_keeps_the_function_and_a_valid_graph(name, rng):
    module, shape = build(name)
    graph = capture(module, shape)
    x = torch.from_numpy(rng.normal(size=(2, *shape)))
    expected = run_graph(graph, x, torch.float64)[graph.output].flatten(1)
    for step in PIPELINE:
        graph = check_shapes(step(graph))
        got = run_graph(graph, x, torch.float64)[graph.output].flatten(1)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9, err_msg=step.__name__)
    assert all(isinstance(node.op, Layer) for node in graph.nodes)
    assert graph.nodes[-1].name == graph.output


@pytest.mark.parametrize("name", NETS)
def test_passes_do_not_change_their_input(name, rng):
    module, shape = build(name)
    graph = capture(module, shape)
    x = torch.from_numpy(rng.normal(size=(1, *shape)))
    before = run_graph(graph, x, torch.float64)
    names = [node.name for node in graph.nodes]
    form_layers(graph)
    after = run_graph(graph, x, torch.float64)
    assert [node.name for node in graph.nodes] == names
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_vgg_block_is_one_layer():
    module, shape = build("vgg")
    nodes = layers_of(module, shape)
    assert list(nodes) == ["0", "4", "9", "13"]
    first = nodes["0"].op
    assert (first.shape, nodes["0"].shape) == ((8, 10, 10), (8, 5, 5))
    assert (first.clamp, first.pool) == (Clamp(), MaxPool((2, 2), (2, 2)))
    # The ReLU behind the pooling moved before it.
    assert nodes["4"].op.clamp == Clamp()
    assert nodes["4"].op.pool == MaxPool((3, 3), (2, 2), (1, 1))
    assert nodes["9"].op.branches[0].weight.shape == (16, 12, 3, 3)


@pytest.mark.medium
def test_a_residual_block_is_two_layers_whose_second_has_two_connections():
    module, shape = build("residual")
    nodes = layers_of(module, shape)
    assert list(nodes) == [
        "0",
        "2.conv1",
        "2.add",
        "3.conv1",
        "3.add",
        "4.conv1",
        "4.add",
        "5",
        "7",
    ]
    same, strided = nodes["2.add"].op, nodes["3.add"].op
    assert [(b.source, b.kind) for b in same.branches] == [("2.conv1", LEARNED), ("0", IDENTITY)]
    assert [(b.source, b.kind) for b in strided.branches] == [
        ("3.conv1", LEARNED),
        ("2.add", LEARNED),
    ]
    assert strided.branches[1].stride == (2, 2)
    assert same.clamp == strided.clamp == Clamp()
    assert nodes["5"].op.branches[0].kind == AVERAGE


def test_a_value_with_two_users_is_not_fused():
    module, shape = build("shared")
    nodes = layers_of(module, shape)
    assert nodes["conv"].op.clamp is None  # the average pooling needs it without ReLU
    assert nodes["norm"].op.branches[0].groups == 6
    assert nodes["norm"].op.clamp == Clamp()
    assert nodes["max_pool2d"].op.branches[0].kind == IDENTITY


def test_two_clamps_are_one_with_the_smaller_limit():
    nodes = layers_of(
        chain(nn.Conv2d(1, 1, 1), nn.ReLU6(), nn.Hardtanh(0, 4), nn.ReLU()), (1, 2, 2)
    )
    assert [node.op.clamp for node in nodes.values()] == [Clamp(0.0, 4.0)]


def test_a_clamp_on_the_input_is_an_identity_layer():
    nodes = layers_of(chain(nn.ReLU(), nn.Conv2d(2, 1, 1)), (2, 3, 3))
    assert nodes["0"].op.branches[0].kind == IDENTITY
    assert nodes["0"].op.clamp == Clamp()


def test_two_pools_in_a_row_are_two_layers():
    nodes = layers_of(chain(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), nn.MaxPool2d(2)), (1, 8, 8))
    assert [node.op.pool is not None for node in nodes.values()] == [True, True]


def test_connections_from_one_source_with_one_geometry_are_added_up():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)

        def forward(self, x):
            return F.relu(self.a(x) + self.b(x))

    module = Both()
    (node,) = layers_of(module, (2, 4, 4)).values()
    (branch,) = node.op.branches
    total = (module.a.weight.double() + module.b.weight.double()).detach().numpy()
    np.testing.assert_array_equal(branch.weight, total)


def test_a_convolution_over_joined_tensors_is_one_layer_with_a_connection_to_each():
    module, shape = build("fire")
    nodes = layers_of(module, shape)
    assert list(nodes) == [
        "0",
        "2.squeeze",
        "2.one",
        "2.three",
        "4.squeeze",
        "4.one",
        "4.three",
        "5.part1",
        "5.part2",
        "7",
    ]
    squeeze = nodes["4.squeeze"].op
    assert [(b.source, b.kind) for b in squeeze.branches] == [
        ("2.one", LEARNED),
        ("2.three", LEARNED),
    ]
    weight = np.concatenate([branch.weight for branch in squeeze.branches], 1)
    np.testing.assert_array_equal(weight, module[4].squeeze.weight.detach().double().numpy())
    # The pooling in between joined the layers that it reads.
    assert nodes["2.one"].op.pool == nodes["2.three"].op.pool == MaxPool((2, 2), (2, 2))
    assert len(nodes["7"].op.branches) == 2


def test_channels_are_copied_only_where_they_are_needed_together():
    module, shape = build("joined")
    nodes = layers_of(module, shape)
    sources = [branch.source for branch in nodes["add"].op.branches]
    assert sources == ["groups.part1", "groups.part2", "a", "b"]
    (copy,) = nodes["over"].op.branches
    assert copy.groups == 2
    for branch, columns in zip(
        nodes[copy.source].op.branches, (slice(0, 2), slice(2, 8)), strict=True
    ):
        np.testing.assert_array_equal(branch.weight[:, :, 0, 0], np.eye(8)[:, columns])


def test_padding_of_one_side_is_a_larger_kernel():
    nodes = layers_of(chain(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(2, 4, 3, 2, 1)), (2, 7, 6))
    (branch,) = nodes["1"].op.branches
    assert (branch.weight.shape, branch.padding) == ((4, 2, 5, 4), (3, 2))
    assert not branch.weight[:, :, 3:].any()
    assert not branch.weight[:, :, :, 0].any()


def test_batch_norms_in_a_row_fold_into_one_convolution(rng):
    module = chain(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2), nn.ReLU()).eval()
    assert list(layers_of(module, (1, 2, 2))) == ["0"]


def test_a_flattened_output_keeps_its_elements_in_order(rng):
    module = chain(nn.Conv2d(1, 2, 1), nn.Flatten()).eval()
    graph = form_layers(capture(module, (1, 2, 3)))
    x = torch.from_numpy(rng.normal(size=(1, 1, 2, 3))).float()
    with torch.no_grad():
        expected = module(x)
    got = run_graph(graph, x)[graph.output]
    assert got.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(got.flatten(1), expected, rtol=1e-5)


def batch_norm(gains):
    """With statistics and the given gains of two channels."""
    norm = nn.BatchNorm2d(2)
    norm.weight.data = torch.tensor(gains)
    norm.bias.data = torch.tensor([0.5, -0.25])
    norm.running_mean = torch.tensor([0.1, -0.3])
    norm.running_var = torch.tensor([2.0, 0.5])
    return norm


def test_a_batch_norm_behind_a_max_pooling_folds_into_the_convolution_before_it():
    module = chain(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), batch_norm([1.0, 0.3]), nn.ReLU())
    (node,) = layers_of(module, (1, 8, 8)).values()
    assert (node.op.clamp, node.op.pool) == (Clamp(), MaxPool((2, 2), (2, 2)))


@pytest.mark.parametrize("gains", [[1.0, -0.3], [0.0, 1.0]])
def test_a_batch_norm_that_is_not_increasing_stays_behind_the_max_pooling(gains, rng):
    module = chain(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), batch_norm(gains), nn.ReLU())
    graph = form_layers(capture(module.eval(), (1, 8, 8)))
    assert [node.op.pool is not None for node in graph.nodes] == [True, False]
    x = torch.from_numpy(rng.normal(size=(2, 1, 8, 8))).float()
    got = run_graph(graph, x, torch.float32)[graph.output]
    torch.testing.assert_close(got, module(x))
