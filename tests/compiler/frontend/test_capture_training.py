# SPDX-License-Identifier: Apache-2.0
"""What was exported in training mode is read as in evaluation, and said; modules are asked for
``.eval()``."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.errors import CompatibilityError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.capture_training import describe_training
from stemcore.compiler.frontend.compatibility import check_compatible
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.frontends.registry import read_model
from tests.support.archives import save

SHAPE = (2, 6, 6)
BEFORE = "exported in training mode, read as in evaluation: "
NOTES = (
    f"{BEFORE}batch norm takes the running statistics that the program holds (norm)",
    f"{BEFORE}dropout passes all values on (drop, channels, alpha and 1 more)",
    f"{BEFORE}random slopes are the mean of their range (slope)",
)


class Net(nn.Module):
    """All layers that have two modes; the batch norm has seen images."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.conv, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.drop, self.channels = nn.Dropout(0.5, inplace=True), nn.Dropout2d(0.3)
        self.alpha, self.slope = nn.AlphaDropout(0.2), nn.RReLU()
        self.last = nn.Linear(64, 3)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = self.channels(self.drop(torch.relu(self.norm(self.conv(x)))))
        x = self.alpha(self.slope(self.last(x.flatten(1))))
        return F.dropout(x, 0.1, self.training)


def example(n=3):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def check_evaluates(graph):
    images = example()
    with torch.no_grad():
        want = Net().eval()(images)
    found = run_graph(graph, images)[graph.output].flatten(1)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.medium
def test_an_archive_in_training_mode_is_read_as_in_evaluation(tmp_path):
    graph = read_model(save(tmp_path / "net.pt2", Net().train(), example(2)))
    check_evaluates(graph)
    assert graph.notes == NOTES


@pytest.mark.medium
def test_programs_and_their_modules_are_read_alike():
    program = torch.export.export(Net().train(), (example(2),))
    for graph in (capture(program), capture(program.module(), SHAPE)):
        check_evaluates(graph)
        assert [note.partition(" (")[0] for note in graph.notes] == [
            note.partition(" (")[0] for note in NOTES
        ]


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch warns of its own code
def test_training_mode_is_read_from_decomposed_programs_too():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout())
    net[1].running_mean.fill_(0.25)
    program = torch.export.export(net.train(), (example(2),)).run_decompositions()
    graph, images = capture(program), example()
    assert [note.rpartition(" (")[2] for note in graph.notes] == ["1)", "2)"]
    with torch.no_grad():
        torch.testing.assert_close(run_graph(graph, images)[graph.output], net.eval()(images))


@pytest.mark.medium
def test_a_graph_module_that_claims_to_be_in_training_mode_holds_its_mode_in_its_calls():
    module = torch.export.export(Net().eval(), (example(2),)).module()
    module.training = True
    graph = capture(module, SHAPE)
    check_evaluates(graph)
    assert graph.notes == ()


def test_a_module_in_evaluation_mode_must_not_drop_values():
    class Always(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x):
            return F.dropout(F.dropout2d(self.conv(x)))

    with pytest.raises(CompatibilityError) as caught:
        check_compatible(capture(Always().eval(), SHAPE))
    found = [(problem.where, problem.problem, problem.remedy) for problem in caught.value.problems]
    remedy = "hand training=self.training to the function"
    assert found == [
        (name, f"aten.{name}.default is in training mode", remedy)
        for name in ("feature_dropout", "dropout")
    ]


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_batch_norm_without_running_statistics_is_refused(mode):
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False))
    program = torch.export.export(getattr(net, mode)(), (example(2),))
    assert describe_training(program) == []
    with pytest.raises(
        CompatibilityError, match=r"1: .*batch_norm.* has no running statistics; train with track_r"
    ):
        check_compatible(capture(program))
