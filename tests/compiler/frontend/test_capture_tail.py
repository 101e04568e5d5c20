# SPDX-License-Identifier: Apache-2.0
"""What ends a network and needs no chip is the host's; captured, it computes what torch does."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.compatibility import find_problems
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.golden.network.tail import ArgMax, Arrange, Sigmoid, Softmax, TopK, apply_tail

VECTORS = {
    "softmax": lambda z: F.softmax(z, dim=1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
    "sigmoid": torch.sigmoid,
    "argmax": lambda z: z.argmax(1),
    "argmax_kept": lambda z: z.argmax(-1, keepdim=True),
    "max_index": lambda z: z.max(1)[1],
    "topk": lambda z: torch.topk(z, 3),
    "topk_values": lambda z: torch.topk(z, 3).values,
    "topk_indices": lambda z: z.softmax(-1).topk(3, largest=False).indices,
    "squeezed": lambda z: z.view(-1, 1, 10).log_softmax(2).squeeze(1),
    "sliced": lambda z: z[:, :4],
    "chosen": lambda z: torch.sigmoid(z)[:, 2:5].unsqueeze(1),
    "reversed": lambda z: z.flip(1),
}
MAPS = {
    "channels_last": lambda y: y.permute(0, 2, 3, 1),
    "segmentation": lambda y: y.argmax(1),
    "softmax_of_channels": lambda y: y.softmax(1),
    "boxes": lambda y: y.view(-1, 2, 2, 36).permute(0, 1, 3, 2).sigmoid(),
}


class Net(nn.Module):
    def __init__(self, end, is_map=False):
        super().__init__()
        self.conv, self.dense = nn.Conv2d(1, 4, 3), nn.Linear(144, 10)
        self.end, self.is_map = end, is_map

    def forward(self, x):
        y = self.conv(x)
        return self.end(y if self.is_map else self.dense(y.relu().flatten(1)))


def net(end, *, is_map=False):
    torch.manual_seed(3)
    return Net(end, is_map).eval()


def assert_computes(graph, module, rng):
    x = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 8, 8))).float()
    with torch.no_grad():
        wanted = module(x)
    found = apply_tail(graph.tail, run_graph(graph, x)[graph.output].double().numpy())
    pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
    for got, expected in pairs:
        assert got.shape == tuple(expected.shape)
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", VECTORS)
def test_the_end_of_a_classifier_is_the_hosts(name, rng):
    module = net(VECTORS[name])
    graph = capture(module, (1, 8, 8))
    assert graph.tail
    assert find_problems(graph) == ()
    assert graph.node(graph.output).op.output_shape([]) == (10, 1, 1)
    assert_computes(graph, module, rng)


@pytest.mark.parametrize("name", MAPS)
def test_the_end_of_a_map_is_the_hosts(name, rng):
    module = net(MAPS[name], is_map=True)
    graph = capture(module, (1, 8, 8))
    assert graph.tail
    assert graph.output == "conv"
    assert_computes(graph, module, rng)


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("decomposes", [False, True])
def test_programs_with_a_free_batch_have_the_same_tail(decomposes, rng):
    module = net(VECTORS["squeezed"])
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.zeros(2, 1, 8, 8),)
    program = torch.export.export(module, example, dynamic_shapes=({0: batch},))
    if decomposes:
        program = program.run_decompositions()
    graph = capture(program)
    assert graph.tail == capture(module, (1, 8, 8)).tail
    assert_computes(graph, module, rng)


def test_a_network_that_ends_in_its_last_layer_has_no_tail():
    assert capture(net(lambda z: z), (1, 8, 8)).tail == ()
    assert capture(net(lambda y: y.flatten(1), is_map=True), (1, 8, 8)).tail == ()


@pytest.mark.medium
def test_steps_say_what_they_are():
    graph = capture(net(VECTORS["softmax"]), (1, 8, 8))
    assert graph.tail == (Arrange((10,)), Softmax(1))
    graph = capture(net(VECTORS["argmax_kept"]), (1, 8, 8))
    assert graph.tail == (Arrange((10,)), ArgMax(1, True))
    graph = capture(net(VECTORS["topk"]), (1, 8, 8))
    assert graph.tail == (Arrange((10,)), TopK(1, 3))
    graph = capture(net(VECTORS["chosen"]), (1, 8, 8))
    assert graph.tail == (Arrange((10,)), Sigmoid(), Arrange((1, 3), (2, 3, 4)))


def test_what_goes_over_the_images_of_a_batch_is_no_tail():
    problems = find_problems(capture(net(lambda z: z.softmax(0)), (1, 8, 8)))
    assert [problem.where for problem in problems] == ["softmax"]
    with pytest.raises(CaptureError, match=r"mixes the images of a batch after the last layer"):
        capture(net(lambda z: z.softmax(1).view(-1)), (1, 8, 8))


def test_a_softmax_inside_a_network_is_refused():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Softmax(1), nn.Conv2d(2, 2, 3)).eval()
    (problem,) = find_problems(capture(module, (1, 8, 8)))
    assert problem.where == "1"
