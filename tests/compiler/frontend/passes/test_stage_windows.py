# SPDX-License-Identifier: Apache-2.0
"""Large windows in stages: what a core can hold, the same function, no more layers than needed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.graph import check_shapes
from stemcore.compiler.frontend.ops.layer import AVERAGE, IDENTITY, LEARNED
from stemcore.compiler.frontend.ops.pooling import MaxPool, UnevenMaxPool
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.passes.stage_windows import (
    CHUNK,
    MOST_MAXIMA,
    MOST_WEIGHTS,
    stage_windows,
)
from stemcore.compiler.frontend.run_graph import run_graph
from tests.support.torch_nets import chain


def staged(*layers, shape):
    graph = capture(chain(*layers).eval(), shape)
    return graph, check_shapes(stage_windows(graph))


def assert_same(graph, other, rng):
    x = torch.from_numpy(rng.normal(size=(2, *graph.input_shape)))
    expected = run_graph(graph, x, torch.float64)[graph.output]
    got = run_graph(other, x, torch.float64)[other.output]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape", "n_stages"),
    [
        (nn.AdaptiveMaxPool2d(1), (2, 8, 16), 1),
        (nn.AdaptiveMaxPool2d(1), (2, 17, 9), 2),
        (nn.AdaptiveMaxPool2d(1), (1, 100, 100), 3),
        (nn.AdaptiveMaxPool2d((2, 3)), (1, 30, 45), 2),
        (nn.MaxPool2d(12, 12, 3), (1, 30, 30), 2),
        (nn.MaxPool2d(13, 1, 6), (1, 14, 14), 1),  # windows overlap
    ],
)
def test_a_maximum_has_as_many_stages_as_its_positions_ask_for(layer, shape, n_stages, rng):
    graph, other = staged(layer, shape=shape)
    assert len(other.nodes) == n_stages
    assert other.nodes[-1].name == "0"
    assert_same(graph, other, rng)
    for node in other.nodes if n_stages > 1 else ():
        source, spans = other.shape_of(node.inputs[0]), []
        for axis in (0, 1):
            if isinstance(node.op, UnevenMaxPool):
                pool_spans = (node.op.rows, node.op.columns)[axis]
                spans.append(max(b - a for a, b in pool_spans))
            else:
                assert isinstance(node.op, MaxPool)
                spans.append(min(node.op.kernel[axis], source[1 + axis]))
        assert math.prod(spans) <= MOST_MAXIMA


@pytest.mark.parametrize(
    ("shape", "kinds", "terms"),
    [
        ((2, 8, 8), [AVERAGE], [64]),  # a weight a position, as ever
        ((2, 9, 8), [AVERAGE], [72]),
        ((2, 64, 64), [AVERAGE], [4096]),  # a power of two is exact
        ((2, 40, 24), [AVERAGE, AVERAGE], [64, 15]),
        ((2, 37, 41), [AVERAGE, LEARNED], [64, 30]),
    ],
)
def test_an_average_needs_one_weight_and_stays_accurate(shape, kinds, terms, rng):
    module = chain(nn.AdaptiveAvgPool2d(1)).eval()
    graph = capture(module, shape)
    layers = form_layers(graph)
    assert_same(graph, layers, rng)
    branches = [node.op.branches[0] for node in layers.nodes]
    assert [branch.kind for branch in branches] == kinds
    assert [branch.n_terms for branch in branches] == terms
    if terms != [64]:
        assert all(branch.weight.shape[2:] == (1, 1) for branch in branches)
    assert CHUNK**2 == 64


@pytest.mark.parametrize(
    ("layer", "n_stages"),
    [
        (nn.Upsample(scale_factor=2, mode="bilinear"), 1),
        (nn.Upsample(scale_factor=4, mode="bilinear"), 2),
        (nn.Upsample(size=(13, 9), mode="bilinear", align_corners=True), 2),
        (nn.Upsample(size=(4, 9), mode="bilinear", align_corners=True), 1),
        (nn.AdaptiveAvgPool2d((3, 4)), 1),
    ],
)
def test_interpolation_treats_rows_and_columns_apart_where_weights_are_many(layer, n_stages, rng):
    graph, other = staged(layer, shape=(2, 6, 7))
    assert len(other.nodes) == n_stages
    assert_same(graph, other, rng)
    layers = form_layers(graph)
    assert_same(graph, layers, rng)
    for node in layers.nodes:
        (branch,) = node.op.branches
        assert branch.weight[0].size <= MOST_WEIGHTS


def test_nearest_neighbours_are_copies_with_one_weight():
    graph = capture(chain(nn.Upsample(size=(9, 5)), nn.ReLU()).eval(), (3, 4, 5))
    (node,) = form_layers(graph).nodes
    (branch,) = node.op.branches
    assert (branch.kind, branch.weight.shape) == (IDENTITY, (3, 1, 1, 1))
