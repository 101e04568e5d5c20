# SPDX-License-Identifier: Apache-2.0
"""Interpolation and uneven windows: torch's results, and kernels as short as can be."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.ops.pooling import AveragePool, MaxPool, UnevenMaxPool
from stemcore.compiler.frontend.ops.resample import Resample, matrix_taps
from stemcore.compiler.frontend.run_graph import run_graph


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def only_operator(function, shape, rng):
    """The operator that a function is captured as, after a comparison with the function."""
    graph = capture(Net(function).eval(), shape)
    x = torch.from_numpy(rng.normal(size=(2, *shape)))
    image = x if len(shape) == 3 else x[:, :, None]
    got = run_graph(graph, image, torch.float64)[graph.output]
    np.testing.assert_allclose(got.flatten(), function(x).flatten(), rtol=1e-9, atol=1e-9)
    (node,) = graph.nodes
    return node.op


INTERPOLATIONS = [
    {"size": (9, 3), "mode": "nearest"},
    {"scale_factor": (1.5, 2.3), "mode": "nearest"},
    {"size": (7, 7), "mode": "nearest-exact"},
    {"scale_factor": 2, "mode": "bilinear"},
    {"size": (3, 9), "mode": "bilinear", "align_corners": True},
    {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True},
    {"size": (3, 4), "mode": "bilinear", "antialias": True},
    {"scale_factor": 2, "mode": "bicubic"},
    {"size": (3, 4), "mode": "area"},
]


@pytest.mark.parametrize("options", INTERPOLATIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_interpolation_is_torchs(options, rng):
    operator = only_operator(lambda x: F.interpolate(x, **options), (2, 5, 6), rng)
    assert isinstance(operator, Resample)
    np.testing.assert_allclose(operator.rows.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_sequences_are_interpolated(mode, rng):
    operator = only_operator(lambda x: F.interpolate(x, size=11, mode=mode), (2, 5), rng)
    assert (operator.rows.shape, operator.columns.shape) == ((1, 1), (11, 5))


POOLINGS = [
    (lambda x: F.max_pool2d(x, 2, ceil_mode=True), UnevenMaxPool),
    (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), UnevenMaxPool),
    (lambda x: F.max_pool2d(x[..., :5], 3, 2, ceil_mode=True), MaxPool),
    (lambda x: F.avg_pool2d(x, 2, ceil_mode=True), Resample),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), Resample),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), Resample),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), Resample),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, True, True, divisor_override=5), Resample),
    (lambda x: F.avg_pool2d(x, 3, 1, 1, False, True, divisor_override=5), AveragePool),
    (lambda x: F.avg_pool2d(x, 3, 2, 0, count_include_pad=False), AveragePool),
    (lambda x: F.adaptive_max_pool2d(x, (2, 4)), UnevenMaxPool),
    (lambda x: F.adaptive_avg_pool2d(x, (2, 4)), Resample),
    (lambda x: F.adaptive_avg_pool2d(x, (None, 3)), AveragePool),
]


@pytest.mark.parametrize(("function", "kind"), POOLINGS)
def test_uneven_poolings_are_torchs(function, kind, rng):
    def on_five_rows(x):
        return function(x[:, :, :5])

    whole = capture(Net(on_five_rows).eval(), (2, 5, 6))
    assert isinstance(whole.nodes[-1].op, kind)
    x = torch.from_numpy(rng.normal(size=(2, 2, 5, 6)))
    got = run_graph(whole, x, torch.float64)[whole.output]
    np.testing.assert_allclose(got, on_five_rows(x), rtol=1e-9, atol=1e-9)


def test_poolings_of_sequences_may_be_uneven(rng):
    for function in (
        lambda x: F.avg_pool1d(x, 2, 2, 1, True, False),
        lambda x: F.max_pool1d(x, 2, ceil_mode=True),
        lambda x: F.adaptive_avg_pool1d(x, 2),
        lambda x: F.adaptive_max_pool1d(x, 2),
    ):
        only_operator(function, (2, 5), rng)


def applied(taps, kernel, x):
    y = np.zeros(taps.n_outputs)
    for source, output, position in zip(*taps.pairs(), strict=True):
        y[output] += kernel[position] * x[source]
    return y


@pytest.mark.parametrize("case", range(20))
def test_taps_compute_what_the_matrix_computes(case, rng):
    matrix = np.zeros((int(rng.integers(1, 7)), int(rng.integers(1, 7))))
    for column in matrix.T:
        start = int(rng.integers(0, len(column)))
        stop = int(rng.integers(start, len(column) + 1))
        column[start:stop] = rng.integers(0, 3, stop - start) / 4
    if case < 3:
        matrix[:] = (0, 1, 0.5)[case]
    taps, kernel = matrix_taps(matrix)
    x = rng.normal(size=matrix.shape[1])
    np.testing.assert_allclose(applied(taps, kernel, x), matrix @ x, atol=1e-12)
    assert case >= 3 or len(kernel) == 1


def test_runs_of_weights_overlap_in_the_kernel():
    """Twice the size, bilinear: 10 weights in three runs, of which two are shared."""
    matrix = F.interpolate(torch.eye(8)[None], scale_factor=2, mode="linear")[0].numpy().T
    _, kernel = matrix_taps(matrix.astype(float))
    np.testing.assert_allclose(kernel, [1, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75, 1])
