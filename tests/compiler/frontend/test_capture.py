# SPDX-License-Identifier: Apache-2.0
"""Captured graphs compute what the module computes; what cannot be captured is named."""

import importlib
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.ops.addition import Add
from stemcore.compiler.frontend.ops.batch_norm import BatchNorm
from stemcore.compiler.frontend.ops.clamp import Clamp
from stemcore.compiler.frontend.ops.convolution import Conv
from stemcore.compiler.frontend.ops.dense import Linear
from stemcore.compiler.frontend.ops.layout import Flatten
from stemcore.compiler.frontend.ops.operator import Unsupported as Refused
from stemcore.compiler.frontend.ops.pixel_shuffle import PixelShuffle
from stemcore.compiler.frontend.ops.pooling import AveragePool, MaxPool
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.golden.network.tail import apply_tail
from tests.support.torch_nets import NETS, build


def images(rng, shape, n=2):
    return torch.from_numpy(rng.normal(size=(n, *shape)))


def assert_same_function(module, shape, graph, rng):
    x = images(rng, shape)
    with torch.no_grad():
        expected = module.double()(x)
    output = run_graph(graph, x, torch.float64)[graph.output]
    got = torch.from_numpy(apply_tail(graph.tail, output.numpy()))
    np.testing.assert_allclose(got.flatten(1), expected.flatten(1), rtol=1e-9, atol=1e-9)


class Computed(nn.Module):
    """Layers whose weights each call computes anew, by hooks or parametrizations."""

    def __init__(self):
        super().__init__()
        self.conv = prune.l1_unstructured(nn.Conv2d(2, 4, 3), "weight", amount=0.5)
        self.norm = prune.random_unstructured(nn.Conv2d(4, 4, 3), "bias", amount=2)
        nn.utils.parametrizations.weight_norm(self.norm)
        self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 3))

    def forward(self, x):
        x = torch.relu(self.norm(torch.relu(self.conv(x))))
        return self.head(x.flatten(1))


def test_weights_that_each_call_computes_anew_are_constants(rng):
    torch.manual_seed(5)
    module = Computed().eval()
    graph = capture(module, (2, 6, 6))
    assert np.count_nonzero(graph.nodes[0].op.weight) == 2 * 4 * 9 // 2
    assert_same_function(module, (2, 6, 6), graph, rng)


@pytest.mark.parametrize("name", NETS)
def test_captured_graph_computes_what_the_module_computes(name, rng):
    module, shape = build(name)
    graph = capture(module, shape)
    assert_same_function(module, shape, graph, rng)


def test_operators_carry_the_path_of_their_module():
    module, shape = build("vgg")
    graph = capture(module, shape)
    kinds = [(node.name, type(node.op)) for node in graph.nodes]
    assert kinds == [
        ("0", Conv),
        ("1", BatchNorm),
        ("2", Clamp),
        ("3", MaxPool),
        ("4", Conv),
        ("5", MaxPool),
        ("6", Clamp),
        ("8", Flatten),
        ("9", Linear),
        ("10", BatchNorm),
        ("11", Clamp),
        ("13", Linear),
    ]


@pytest.mark.medium
def test_functional_calls_are_named_after_operator_and_enclosing_module():
    module, shape = build("residual")
    names = [node.name for node in capture(module, shape).nodes]
    assert "2.conv1" in names
    assert "2.relu" in names
    assert "2.add" in names
    assert len(set(names)) == len(names)


def test_a_module_called_twice_has_two_names():
    layer = nn.Conv2d(2, 2, 1)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = layer

        def forward(self, x):
            return self.conv(F.relu(self.conv(x)))

    graph = capture(Twice().eval(), (2, 3, 3))
    assert [node.name for node in graph.nodes] == ["conv", "relu", "conv_2"]


def test_a_value_called_input_does_not_hide_the_input():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.input(x)

    graph = capture(Named().eval(), (1, 2, 2))
    assert graph.output == "input_2"


def test_dropped_and_unused_operators_leave_no_node():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.unused = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            self.unused(x)
            return F.dropout(self.conv(x), training=False).contiguous().view(x.shape[0], 2, 4, 4)

    graph = capture(Net().eval(), (1, 4, 4))
    assert [node.name for node in graph.nodes] == ["conv"]


@pytest.mark.medium
@pytest.mark.parametrize("batch", ["dynamic", "two", "one"])
def test_exported_programs_are_taken_with_any_batch(batch, rng):
    module, shape = build("vgg")
    example = torch.zeros(1 if batch == "one" else 2, *shape)
    dynamic = ({0: torch.export.Dim("batch")},) if batch == "dynamic" else None
    program = torch.export.export(module, (example,), dynamic_shapes=dynamic)
    assert_same_function(module, shape, capture(program), rng)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["vgg", "residual", "average"])
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_decomposed_programs_are_taken(name, rng):
    module, shape = build(name)
    program = torch.export.export(module, (torch.zeros(2, *shape),)).run_decompositions()
    assert_same_function(module, shape, capture(program, shape), rng)


def test_capture_does_not_alias_the_modules_weights():
    module = nn.Conv2d(1, 1, 1).eval()
    graph = capture(module, (1, 2, 2))
    before = graph.nodes[0].op.weight.copy()
    with torch.no_grad():
        module.weight.zero_()
    np.testing.assert_array_equal(graph.nodes[0].op.weight, before)
    with pytest.raises(ValueError, match="read-only"):
        graph.nodes[0].op.weight[:] = 1


def test_global_pooling_has_three_spellings():
    class Net(nn.Module):
        def __init__(self, spelling):
            super().__init__()
            self.spelling = spelling

        def forward(self, x):
            if self.spelling == "mean":
                return x.mean((-1, -2))
            if self.spelling == "keepdim":
                return x.mean([2, 3], keepdim=True)
            return F.adaptive_avg_pool2d(x, 1)

    for spelling in ("mean", "keepdim", "adaptive"):
        (node,) = capture(Net(spelling).eval(), (3, 6, 4)).nodes
        assert node.op == AveragePool((6, 4), (6, 4), (0, 0), 24)


def test_adding_a_value_to_itself_is_an_addition():
    class Double(nn.Module):
        def forward(self, x):
            return x + x

    (node,) = capture(Double().eval(), (1, 2, 2)).nodes
    assert (node.op, node.inputs) == (Add(), ("input", "input"))


REFUSED = {
    "erf": (torch.erf, r"^aten\.erf\.default has no spiking form$"),
    "limits": (lambda x: x.clamp(0.0, float("nan")), r"must have finite limits, got 0\.0\.\.nan$"),
    "elu": (lambda x: F.elu(x, -1.0), r"must have positive constants, has \[-1\.0, 1\.0, 1\.0\]$"),
    "celu": (lambda x: F.celu(x, -2.0), r"must have a positive alpha, has -2\.0$"),
    "random": (lambda x: F.rrelu(x, training=True), r"is in training mode$"),
    "slope": (lambda x: F.leaky_relu(x, float("inf")), r"must have a finite slope, has inf$"),
    "extreme": (lambda x: torch.maximum(x, torch.ones(5)), r"must have two computed tensors$"),
    "dilated pool": (lambda x: F.max_pool2d(x, 2, dilation=2), r"must have dilation 1$"),
    "mean": (
        lambda x: x.mean((1, 2, 3), keepdim=True),
        r"mean over a rectangle of positions of each channel, or channels at each position, is",
    ),
    "maximum": (
        lambda x: x.amax(1, keepdim=True),
        r"maximum over a rectangle of positions of each channel, is over axes \[1\] of",
    ),
    "indices": (lambda x: x.max(3)[1].float(), r"must turn tensors|no spiking form"),
    "position": (
        lambda x: x * torch.arange(25.0).reshape(5, 5),
        r"has a constant of shape \(5, 5\), which differs between positions of a channel$",
    ),
    "gate": (lambda x: x * F.max_pool2d(x, 3, 1, 1), r"multiplies two computed tensors"),
    "divisor": (lambda x: 1 / (x + 2), r"must divide a computed tensor|has no spiking form"),
    "reshape": (lambda x: x.reshape(-1, 25, 2, 1), r"brings values of \(2, 5, 5\) into an order"),
    "mixed images": (lambda x: x.transpose(0, 1), r"must turn tensors \(N, C, H, W\)"),
    "rows": (lambda x: torch.cat([x, x], 2), r"^aten\.cat\.default must join channels$"),
    "joined constant": (
        lambda x: torch.cat([x, torch.zeros(2, 2, 5, 5)], 1),
        r"^aten\.cat\.default must join computed tensors, one is constant$",
    ),
    "reflection": (
        lambda x: F.pad(x, (1, 1, 0, 0), mode="reflect"),
        r"must add zeros around images, got mode reflect, value 0, sizes \[1, 1, 0, 0, 0, 0\]$",
    ),
    "ones": (lambda x: F.pad(x, (1, 1), value=1.0), r"got mode constant, value 1\.0, sizes \[1, 1"),
    "crop": (lambda x: F.pad(x, (-1, 0)), r"got mode constant, value 0, sizes \[-1, 0"),
    "channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 0)), r"sizes \[0, 0, 0, 0, 1, 0\]$"),
    "pixels": (nn.Linear(5, 3), r"must read a flat tensor, got \(2, 5, 5\)$"),
    "weights": (
        lambda x: F.conv2d(x, x[:1]),
        r"must have constant weights over rows and columns|no spiking",
    ),
    "transposed": (
        lambda x: F.conv_transpose2d(x, x[:1, :1].expand(2, 1, 5, 5)),
        r"^aten\.conv_transpose2d\.input must have constant weights over rows and columns$",
    ),
    "rank": (lambda x: x.flatten(2), r"into an order of shape \(2, 25\) that no layer has$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unsupported_operators_become_nodes_that_say_why(case):
    function, pattern = REFUSED[case]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.function = function

        def forward(self, x):
            return F.relu(self.function(x))

    graph = capture(Net().eval(), (2, 5, 5))
    refused = [node.op for node in graph.nodes if isinstance(node.op, Refused)]
    assert refused
    assert any(re.search(pattern, op.problem) for op in refused), refused
    assert all(op.remedy for op in refused)


def test_a_function_of_single_values_may_come_between_moves():
    """ReLU of a transposed sequence, which no neurons hold, is that of the sequence."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 2)

        def forward(self, x):
            y = F.relu(self.conv(x).transpose(1, 2))
            return F.relu6(y.unsqueeze(1)).squeeze(1).transpose(1, 2)

    graph = capture(Net().eval(), (2, 5))
    assert [type(node.op) for node in graph.nodes] == [Conv, Clamp, Clamp]
    assert graph.nodes[-1].shape == (3, 1, 4)


def test_blocks_of_pixels_are_recognized_however_they_are_written():
    class Net(nn.Module):
        def forward(self, x):
            n, c, h, w = x.shape
            y = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
            return F.relu(y.reshape(n, c // 4, 2 * h, 2 * w))

    graph = capture(Net().eval(), (8, 2, 3))
    assert [node.op for node in graph.nodes] == [PixelShuffle(2), Clamp()]
    there_and_back = nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ReLU())
    assert [node.op for node in capture(there_and_back.eval(), (8, 2, 3)).nodes] == [Clamp()]


def test_a_stack_in_front_of_the_batch_is_no_output():
    class Net(nn.Module):
        def forward(self, x):
            return torch.stack([F.relu(x), F.relu6(x)])

    with pytest.raises(CaptureError, match=r"^stack: stacks results in front of the batch; stack"):
        capture(Net().eval(), (2, 3))


def test_writing_through_a_shared_view_is_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = self.conv(x)
            torch.relu_(y.view(x.shape[0], -1))
            return y.mean((2, 3))

    pattern = (
        r"^relu: aten\.relu_\.default writes through a view of a tensor that is used elsewhere; "
    )
    with pytest.raises(CaptureError, match=pattern):
        capture(Net().eval(), (1, 2, 2))


def test_training_mode_is_refused():
    with pytest.raises(CaptureError, match=r"^the module: must be in evaluation mode, is in tr"):
        capture(nn.Conv2d(1, 1, 1), (1, 2, 2))


def test_a_missing_shape_is_named():
    with pytest.raises(CaptureError, match=r"^capture: a module needs input_shape=\(C, H, W\)"):
        capture(nn.Conv2d(1, 1, 1).eval())


@pytest.mark.parametrize("shape", [(), (1, 2, 0), (1, 2.0, 2), (1, 1, 2, 2)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(CaptureError, match=r"^capture: input_shape must be positive sizes"):
        capture(nn.Conv2d(1, 1, 1).eval(), shape)


def test_a_failing_export_names_the_cause():
    pattern = (
        r"^capture: torch\.export must accept the module with an input of shape \(N, 3, 2, 2\)"
    )
    with pytest.raises(CaptureError, match=pattern):
        capture(nn.Conv2d(1, 1, 1).eval(), (3, 2, 2))


def test_other_objects_are_refused():
    with pytest.raises(
        CaptureError, match=r"^capture: model must be a torch\.nn\.Module or .* dict$"
    ):
        capture({}, (1, 2, 2))


def test_a_program_for_another_shape_is_refused():
    program = torch.export.export(nn.Conv2d(1, 1, 1).eval(), (torch.zeros(1, 1, 2, 2),))
    with pytest.raises(CaptureError, match=r"^capture: the program was exported for \(1, 2, 2\)"):
        capture(program, (1, 3, 3))


def test_graphs_that_choose_scales_as_they_run_are_refused_with_the_way_out():
    importlib.import_module("torch.ao.quantization.fx._decomposed")

    class Net(nn.Module):
        def forward(self, x):
            ops = torch.ops.quantized_decomposed
            scale, zero = ops.choose_qparams.tensor(x, 0, 255, 1e-6, torch.uint8)
            q = ops.quantize_per_tensor.tensor(x, scale, zero, 0, 255, torch.uint8)
            return ops.dequantize_per_tensor.tensor(q, scale, zero, 0, 255, torch.uint8)

    pattern = (
        r"^\w+: a quantized graph must .*with scales that are fixed, .*choose_qparams.*; quanti"
    )
    with pytest.raises(CaptureError, match=pattern):
        capture(Net().eval(), (1, 2, 2))


class FakeQuantized(nn.Module):
    """What training with rounding in the loop leaves in a live module."""

    def __init__(self, zero_point=0):
        super().__init__()
        self.conv, self.zero_point = nn.Conv2d(2, 3, 3), zero_point
        self.register_buffer("scales", torch.tensor([0.5, 0.25, 0.125]) / 64)
        self.register_buffer("zeros", torch.tensor([0, 0, zero_point], dtype=torch.int32))

    def forward(self, x):
        weight = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.scales, self.zeros, 0, -127, 127
        )
        y = torch.relu(nn.functional.conv2d(x, weight))
        return torch.fake_quantize_per_tensor_affine(y, 0.125, 0, 0, 255)


def test_roundings_of_live_modules_are_read():
    graph = capture(FakeQuantized().eval(), (2, 5, 5))
    conv, _, rounding = (node.op for node in graph.nodes)
    assert np.array_equal(conv.step, [1 / 128, 1 / 256, 1 / 512])
    whole = conv.weight / conv.step.reshape(-1, 1, 1, 1)
    assert np.array_equal(whole, np.round(whole))
    assert (rounding.scale, rounding.low, rounding.high) == (0.125, 0, 255)
    with pytest.raises(CaptureError, match=r"weights must have the zero-point 0, some have 3; "):
        capture(FakeQuantized(zero_point=3).eval(), (2, 5, 5))


class Sequence1d(nn.Module):
    """Every operator over sequences."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.ZeroPad1d((1, 2)),
            nn.Conv1d(2, 6, 3, stride=2, padding=1),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(6, 6, 3, dilation=2, groups=3, padding="same"),
            nn.ReLU(),
            nn.AvgPool1d(2),
            nn.AdaptiveMaxPool1d(3),
        )
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.body(x).mean(2))


def test_sequences_are_images_of_one_row(rng):
    module = Sequence1d().eval()
    graph = capture(module, (2, 33))
    assert graph.input_shape == (2, 1, 33)
    assert not any(isinstance(node.op, Refused) for node in graph.nodes)
    x = torch.from_numpy(rng.normal(size=(3, 2, 33))).float()
    got = run_graph(graph, x[:, :, None])[graph.output].flatten(1)
    torch.testing.assert_close(got, module(x))


def test_vectors_are_images_of_one_pixel(rng):
    module = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    graph = capture(module, (7,))
    assert graph.input_shape == (7, 1, 1)
    x = torch.from_numpy(rng.normal(size=(3, 7))).float()
    got = run_graph(graph, x[:, :, None, None])[graph.output].flatten(1)
    torch.testing.assert_close(got, module(x))


@pytest.mark.medium
def test_a_dynamic_batch_may_pass_through_views():
    module = build("permuted")[0]
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    program = torch.export.export(module, (torch.zeros(4, 2, 5, 5),), dynamic_shapes=(batch,))
    graph = capture(program)
    assert not any(isinstance(node.op, Refused) for node in graph.nodes)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_modules_of_other_float_types_are_read_as_float32_and_the_graph_says_so(kind, rng):
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval().to(kind)
    graph = capture(module, (1, 6, 6))
    how = "rounded" if kind is torch.float64 else "exactly"
    name = str(kind).removeprefix("torch.")
    assert graph.notes == (f"the model's {name} parameters are read as float32, {how}",)
    assert module[0].weight.dtype is kind  # the user's own stays as it is
    x = torch.from_numpy(rng.standard_normal((2, 1, 6, 6))).float()
    with torch.no_grad():
        wanted = module.float()(x)
    torch.testing.assert_close(run_graph(graph, x)[graph.output], wanted)
    program = torch.export.export(module.to(kind), (torch.zeros(2, 1, 6, 6, dtype=kind),))
    assert capture(program).notes == graph.notes


def test_float32_modules_are_read_without_a_word():
    assert capture(nn.Sequential(nn.Conv2d(1, 2, 3)).eval(), (1, 6, 6)).notes == ()
