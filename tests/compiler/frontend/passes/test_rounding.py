# SPDX-License-Identifier: Apache-2.0
"""Roundings of quantized graphs move to the layers whose values they round."""

import numpy as np
import torch

from stemcore.compiler.frontend.graph import Graph, Node
from stemcore.compiler.frontend.ops.clamp import Clamp
from stemcore.compiler.frontend.ops.convolution import Conv
from stemcore.compiler.frontend.ops.fake_quantize import FakeQuantize, fake_quantize
from stemcore.compiler.frontend.ops.operator import Unsupported
from stemcore.compiler.frontend.ops.pooling import MaxPool
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.passes.rounding import drop_input_rounding
from stemcore.compiler.frontend.run_graph import run_graph

SHAPE = (2, 6, 6)
GRID = FakeQuantize(0.25, 0, 255)


def conv():
    return Conv(np.arange(36.0).reshape(2, 2, 3, 3) / 8 - 2, np.array([0.3, -0.2]), padding=(1, 1))


def chain(*ops):
    """Operators in a row, named a, b, ..; pooling halves the image."""
    nodes, source, shape = [], "input", SHAPE
    for name, op in zip("abcdefgh", ops, strict=False):
        shape = op.output_shape([shape])
        nodes.append(Node(name, op, (source,), shape))
        source = name
    return Graph("net", SHAPE, tuple(nodes), source)


def check_same(before, after):
    x = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0)) * 4 - 2
    wanted, got = run_graph(before, x)[before.output], run_graph(after, x)[after.output]
    assert torch.equal(wanted, got)


def test_rounding_behind_relu_belongs_to_the_layer():
    graph = chain(conv(), Clamp(), GRID)
    formed = form_layers(graph)
    (node,) = formed.nodes
    assert node.op.rounding == GRID
    check_same(graph, formed)


def test_rounding_moves_before_the_pooling_and_the_second_is_idle():
    pool = MaxPool((2, 2), (2, 2))
    graph = chain(conv(), Clamp(), pool, GRID)
    twice = chain(conv(), Clamp(), GRID, pool, GRID)
    for one in (graph, twice):
        formed = form_layers(one)
        (node,) = formed.nodes
        assert node.op.rounding == GRID
        assert node.op.pool == pool
        check_same(one, formed)


def test_rounding_on_another_grid_is_a_layer_of_its_own():
    coarse = FakeQuantize(1.0, 0, 15)
    graph = chain(conv(), GRID, coarse)
    formed = form_layers(graph)
    assert [node.op.rounding for node in formed.nodes] == [GRID, coarse]
    check_same(graph, formed)


def test_what_two_read_is_rounded_once_for_each_grid():
    coarse = FakeQuantize(1.0, -127, 127)
    nodes = (
        Node("a", conv(), ("input",), SHAPE),
        Node("b", GRID, ("a",), SHAPE),
        Node("c", coarse, ("a",), SHAPE),
        Node("d", conv(), ("b",), SHAPE),
        Node("e", conv(), ("c",), SHAPE),
        Node("f", GRID, ("d",), SHAPE),
    )
    graph = Graph("net", SHAPE, nodes, "f")
    check_same(graph, form_layers(graph))


def test_rounding_of_the_input_goes_where_the_input_is_on_its_grid():
    graph = chain(FakeQuantize(1 / 128, -128, 127), conv(), GRID)
    assert len(drop_input_rounding(graph, "input", 1 / 128, (-127, 127)).nodes) == 2
    assert len(drop_input_rounding(graph, "input", 1 / 64, (-127, 127)).nodes) == 3
    assert len(drop_input_rounding(graph, "input", 1 / 128, (0, 255)).nodes) == 3
    formed = form_layers(graph)
    assert len(formed.nodes) == 2
    check_same(graph, formed)


def test_integers_that_the_hardware_has():
    assert fake_quantize("x", 0.5, 0, 0, 255) == FakeQuantize(0.5, 0, 255)
    found = [
        (one.bits, one.is_signed)
        for one in (
            fake_quantize("x", 0.5, 0, low, high)
            for low, high in [(0, 255), (-128, 127), (-127, 127), (0, 15), (-7, 7), (0, 1), (-1, 1)]
        )
    ]
    assert found == [
        (8, False),
        (8, True),
        (8, True),
        (4, False),
        (4, True),
        (2, False),
        (2, True),
    ]
    for case in [(0.5, 1, 0, 255), (0.0, 0, 0, 255), (0.5, 0, 0, 256), (0.5, 0, -128, 255)]:
        assert isinstance(fake_quantize("x", *case), Unsupported), case
    nan = fake_quantize("x", float("nan"), 0, 0, 255)
    assert isinstance(nan, Unsupported)
    assert nan.problem == "x must have a positive scale, has nan"
