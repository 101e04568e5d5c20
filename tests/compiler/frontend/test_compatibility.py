# SPDX-License-Identifier: Apache-2.0
"""All problems of a network come at once, each with layer, reason and way out."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.errors import CaptureError, CompatibilityError
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
        check_compatible(capture(module, (1, 6, 6), "net"))
    assert [problem.where for problem in caught.value.problems] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert all(problem.remedy for problem in caught.value.problems)
    lines = str(caught.value).splitlines()
    assert lines[0] == "net: 4 problems to solve before it can be compiled:"
    assert lines[1] == (
        "  0: weights must be finite, 1 of 2 are NaN or infinite; load weights of a training that "
        "converged; also at 2"
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
    "norm": (
        chain(nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1)),
        r"^1: aten\.group_norm.*; use batch norm",
    ),
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


class Steps(nn.Module):
    """Four vectors of four numbers, read by a recurrent layer, or multiplied by each other."""

    def __init__(self, part=None):
        super().__init__()
        self.part = part

    def forward(self, x):
        y = x.reshape(-1, 4, 4)
        return (torch.bmm(y, y) if self.part is None else self.part(y)[0]).flatten(1)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(3, 2)

    def forward(self, x):
        return self.table(x.flatten(1).long()).flatten(1)


CONSTANT = "a synapse multiplies by a constant weight"
REASONS = {
    "layer norm": (
        chain(nn.Flatten(), nn.LayerNorm(16)),
        "divides values by .*; use batch norm",
    ),
    "rms norm": (
        chain(nn.Flatten(), nn.RMSNorm(16)),
        "divides values by .*; use batch norm",
    ),
    "softmax": (
        chain(nn.Flatten(), nn.Softmax(1), nn.Linear(16, 2)),
        f"divides by a sum over neurons, {CONSTANT}; .* at the end of the network",
    ),
    "product": (Steps(), f"multiplies computed tensors, {CONSTANT}; use convolutions and dense"),
    "lstm": (
        Steps(nn.LSTM(4, 3)),
        "reads its own values of earlier steps, .*; read a window of st",
    ),
    "gru": (Steps(nn.GRU(4, 3)), "reads its own values of earlier steps, .*; read a window"),
    "rnn": (Steps(nn.RNN(4, 3)), "reads its own values of earlier steps, .*; read a window"),
    "embedding": (Words(), "chooses weights by a computed number, .*; look vectors up outside"),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_has_no_spiking_form_says_why(name):
    module, reason = REASONS[name]
    problems = find_problems(capture(module.eval(), (1, 4, 4)))
    assert any(re.search(f"has no spiking form: it {reason}", str(one)) for one in problems)


@pytest.mark.parametrize("case", CASES)
def test_problems_name_layer_reason_and_way_out(case):
    module, pattern = CASES[case]
    problems = find_problems(capture(module.eval(), (1, 4, 4)))
    assert problems
    with pytest.raises(CompatibilityError, match=pattern.replace("^", r"\n  ").replace("$", "")):
        check_compatible(capture(module.eval(), (1, 4, 4)))


def test_coordinates_must_fit_the_packet():
    params = PRESETS["tiny"]
    graph = capture(chain(nn.Conv2d(1, 65, 1), nn.ReLU()).eval(), (1, 33, 4))
    found = [str(problem) for problem in find_problems(graph, params)]
    assert found[0] == (
        "input: a packet tells 32 rows apart, the layer has 33; choose a preset with more bits "
        "for rows, such as sim32 or sim32_wide, or make the layer smaller"
    )
    assert [text.split(":")[0] for text in found] == ["input", "0", "0", "1", "1"]
    assert find_problems(graph, replace(params, c_width=7, y_width=6)) == ()


class Encoder(nn.Module):
    """Several blocks of attention, which are one cause, around layer norms, which are another."""

    def __init__(self):
        super().__init__()
        block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.blocks = nn.TransformerEncoder(block, 3, enable_nested_tensor=False)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(6))
        self.classify = nn.Linear(8, 2)

    def forward(self, x):
        x = self.blocks(x)
        for norm in self.norms:
            x = norm(x)
        return self.classify(x.mean(1))


@pytest.mark.medium
def test_a_cause_has_one_line_however_many_layers_have_it():
    with pytest.raises(CompatibilityError) as caught:
        check_compatible(capture(Encoder().eval(), (5, 8), "encoder"))
    head, *lines = str(caught.value).splitlines()
    assert head == f"encoder: {len(lines)} problems to solve before it can be compiled:"
    (attention,) = [line for line in lines if "attention" in line]
    assert attention.startswith("  blocks.layers.0 (test_compatibility.py:")
    assert attention.endswith("; also at blocks.layers.1, blocks.layers.2")
    (norm,) = [line for line in lines if "layer_norm" in line]
    assert norm.endswith("; also at norms.1, norms.2, norms.3 and 2 more")


class FollowedByOthers(nn.Module):
    """One operator that cannot be read, and others that would have been."""

    def forward(self, x):
        windows = x.unfold(2, 2, 2)
        return torch.relu(windows + windows).flatten(1)


def test_operators_behind_one_that_cannot_be_read_are_not_blamed():
    problems = find_problems(capture(FollowedByOthers().eval(), (2, 4, 4)))
    assert [problem.where for problem in problems] == ["unfold"]
    assert problems[0].source.startswith("test_compatibility.py:")


class BranchesOnData(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_module_that_cannot_be_exported_is_refused_at_its_line(capfd):
    message = r"it raised GuardOnDataDependentSymNode at test_compatibility\.py:\d+: .*forward\(\)$"
    with pytest.raises(CaptureError, match=message):
        capture(BranchesOnData().eval(), (1, 2, 2))
    assert capfd.readouterr() == ("", "")
