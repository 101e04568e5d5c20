# SPDX-License-Identifier: Apache-2.0
"""All problems of a network come at once, each with layer, reason and way out."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.errors import CompatibilityError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.compatibility import check_compatible, find_problems
from stemcore.compiler.frontend.passes import form_layers
from stemcore.golden.spec.presets import PRESETS
from tests.support.torch_nets import NETS, build, chain


@pytest.mark.parametrize("name", NETS)
def test_supported_networks_have_no_problems(name):
    module, shape = build(name)
    graph = capture(module, shape)
    assert find_problems(graph, PRESETS["sim32"]) == ()
    assert find_problems(form_layers(graph), PRESETS["sim32"]) == ()


def test_all_problems_are_reported_at_once_in_order():
    module = chain(
        nn.Conv2d(1, 2, 1),
        nn.GroupNorm(1, 2),
        nn.Conv2d(2, 2, 1),
        nn.Softmax2d(),
        nn.Conv2d(2, 4, 1),
        nn.GroupNorm(2, 4),
    ).eval()
    with torch.no_grad():
        module[0].weight[0] = float("nan")
        module[2].weight[1] = float("nan")
        module[4].bias[:3] = float("inf")
    with pytest.raises(CompatibilityError) as caught:
        check_compatible(capture(module, (1, 6, 6), "net"), bits=1)
    assert [problem.where for problem in caught.value.problems] == [
        "bits",
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert all(problem.remedy for problem in caught.value.problems)
    lines = str(caught.value).splitlines()
    assert lines[0] == "net: 7 problems to solve before it can be compiled:"
    assert lines[2] == (
        "  0: weights must be finite, 1 of 2 are NaN or infinite; load weights of a training that "
        "converged"
    )


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return F.relu(self.a(x)) + self.b(x)


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1) + x.flatten(1)


CASES = {
    "sigmoid": (chain(nn.Conv2d(1, 1, 1), nn.Sigmoid()), r"^1: aten\.sigmoid.*; use ReLU$"),
    "broadcast": (Padded(), r"^add: both operands of an addition must have one shape, got \(2, 4"),
    "flat sum": (Flat(), r"^add: a flattened image cannot be added to; add before the flattening$"),
    "flat norm": (
        chain(nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(16)),
        r"^2: batch norm over a flattened image has a factor per position; put it before",
    ),
    "untracked": (
        nn.BatchNorm2d(1, track_running_stats=False),
        r"^batch_norm\w*: aten\.\w*batch_norm\S* .*",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_problems_name_layer_reason_and_way_out(case):
    module, pattern = CASES[case]
    problems = find_problems(capture(module.eval(), (1, 4, 4)))
    assert problems
    with pytest.raises(CompatibilityError, match=pattern.replace("^", r"\n  ").replace("$", "")):
        check_compatible(capture(module.eval(), (1, 4, 4)))


@pytest.mark.parametrize("value", [1, 9, True, 4.0])
def test_time_steps_out_of_range_are_named(value):
    graph = capture(nn.Conv2d(1, 1, 1).eval(), (1, 2, 2))
    (problem,) = find_problems(graph, bits={"conv2d": value})
    assert problem.where == "conv2d"
    assert str(problem).startswith("conv2d: a spike train has 2 to 8 time steps (bits), got ")


def test_bits_for_an_unknown_layer_are_named():
    graph = capture(nn.Conv2d(1, 1, 1).eval(), (1, 2, 2))
    (problem,) = find_problems(graph, bits={"no": 4})
    assert str(problem) == (
        "no: bits are given for a layer that the network does not have; the layers are conv2d"
    )


def test_coordinates_must_fit_the_packet():
    params = PRESETS["tiny"]
    graph = capture(chain(nn.Conv2d(1, 65, 1), nn.ReLU()).eval(), (1, 33, 4))
    found = [str(problem) for problem in find_problems(graph, params)]
    assert found[0] == (
        "input: a packet tells 32 rows apart, the layer has 33; make the layer smaller, or choose "
        "a preset with more bits for rows"
    )
    assert [text.split(":")[0] for text in found] == ["input", "0", "0", "1", "1"]
    assert find_problems(graph, replace(params, c_width=7, y_width=6)) == ()
