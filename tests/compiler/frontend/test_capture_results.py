# SPDX-License-Identifier: Apache-2.0
"""Modules that return several tensors; captured, they compute what torch does, arranged alike."""

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_flatten

from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from tests.support.several_nets import FORMS, heads


def returned(graph, x):
    values = run_graph(graph, x)
    return graph.results.arrange(
        [output.final(values[output.source].double().numpy()) for output in graph.outputs]
    )


@pytest.mark.parametrize("name", FORMS)
def test_several_outputs_are_returned_as_torch_returns_them(name, rng):
    module = heads(name)
    graph = capture(module, (1, 8, 8))
    x = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 8, 8))).float()
    with torch.no_grad():
        wanted, form = tree_flatten(module(x))
    for stage in (graph, form_layers(graph)):
        found, found_form = tree_flatten(returned(stage, x))
        assert found_form == form
        for got, want in zip(found, wanted, strict=True):
            if want is None:
                assert got is None
                continue
            assert tuple(got.shape) == tuple(want.shape)
            torch.testing.assert_close(torch.from_numpy(got).to(want.dtype), want)


def test_outputs_are_called_by_where_they_stand():
    graph = capture(heads("nested"), (1, 8, 8))
    assert [output.name for output in graph.outputs] == ["scores", "maps.0", "maps.1.0"]
    assert graph.output == graph.ends[0] == graph.outputs[0].source
    twice = capture(heads("twice"), (1, 8, 8))
    assert [output.name for output in twice.outputs] == ["0", "1", "2"]
    assert len(twice.ends) == 2  # the host receives a layer once


def test_what_only_unused_calls_read_is_left_out():
    class Aux(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x):
            self.b(x)
            a = self.a(x)
            return a, a.relu()

    graph = capture(Aux().eval(), (1, 6, 6))
    assert [node.name for node in graph.nodes if node.name == "b"] == []


def test_softmax_that_a_layer_reads_is_no_tail():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            gate = self.a(x).sigmoid()
            return gate, self.b(gate)

    graph = capture(Gate().eval(), (4,))
    assert all(not output.tail for output in graph.outputs)  # the chip computes the sigmoid


class Returns(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.conv, self.form = nn.Conv2d(1, 2, 3), form
        self.register_buffer("constant", torch.ones(1))

    def forward(self, x):
        return self.form(x, self.conv(x), self.constant)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            lambda x, y, c: (y, x),
            r"^capture: the output 1 must be computed from the input, it is the input itself; ",
        ),
        (
            lambda x, y, c: {"y": y, "x": x.flatten(1)},
            r"^capture: the output x must be computed from the input, it is the input itself",
        ),
        (
            lambda x, y, c: (y, c + 1),
            r"^capture: the output 1 must be computed from the input, it is a constant",
        ),
        (lambda x, y, c: None, r"^capture: the network must return a tensor, returns none"),
    ],
)
def test_outputs_that_the_chip_does_not_compute_are_refused(form, message):
    with pytest.raises(CaptureError, match=message):
        capture(Returns(form).eval(), (1, 4, 4))
