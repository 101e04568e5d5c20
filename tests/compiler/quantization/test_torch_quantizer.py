# SPDX-License-Identifier: Apache-2.0
"""PT2E: what torchao quantizes by our quantizer is computed to the last integer."""

import numpy as np
import pytest
import torch

from stemcore import extras, pt2e
from stemcore.compiler.errors import CompatibilityError, CompileError, QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.input_parts import pack
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_given import agreement
from stemcore.extras import MissingExtraError, has_extra, how_to_install
from stemcore.golden.network.forward import run_network
from tests.support.quantized_nets import Pools, Residual, Sequence, Small, images_for, make

pytestmark = pytest.mark.skipif(not has_extra("pt2e"), reason=f"torchao: {how_to_install('pt2e')}")
if has_extra("pt2e"):
    from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import (
        convert_pt2e,
        prepare_pt2e,
        prepare_qat_pt2e,
    )
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
    )

    from stemcore.pt2e import StemQuantizer, round_biases

NETS = (Residual, Pools, Sequence)
N_IMAGES = 12


def exported(net, images):
    return torch.export.export(net, (images,)).module()


def post_training(net, images, **options):
    prepared = prepare_pt2e(exported(net, images), StemQuantizer(**options))
    prepared(images)
    return round_biases(convert_pt2e(prepared))


def aware(net, images, **options):
    """Trained for a few steps with rounding in the loop."""
    prepared = prepare_qat_pt2e(
        torch.export.export(net.train(), (images,)).module(), StemQuantizer(is_qat=True, **options)
    )
    optimizer = torch.optim.SGD(prepared.parameters(), 0.01)
    for _ in range(3):
        optimizer.zero_grad()
        prepared(images).square().mean().backward()
        optimizer.step()
    return round_biases(convert_pt2e(prepared))


def codes_of(codes):
    """Inputs as the chip has them: a sequence is one row."""
    array = codes.numpy()
    return array[:, :, None, :] if array.ndim == 3 else array


def check_equal(converted, codes, images, graph=None):
    """Golden equals torch on every logit, and on every integer of every layer."""
    graph = graph or capture(converted, images.shape[1:])
    quantized = quantize(graph, codes_of(codes))
    assert quantized.network.profile == "exact"
    assert quantized.network.outputs == "given"
    values = run_network(lower(quantized), codes_of(codes).astype(np.int64), acc_width=24)
    last = quantized.network.layers[-1]
    with torch.no_grad():
        logits = converted(images).double().flatten(1).numpy() / last.scale
    assert np.array_equal(logits, values[last.name].reshape(len(images), -1))
    compared = agreement(graph, quantized.network, codes_of(codes), ())
    assert [one.layer for one in compared] == [one.name for one in quantized.network.layers]
    assert all((one.equal, one.largest) == (1.0, 0) for one in compared), compared
    return quantized


@pytest.mark.medium
@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("options", [{}, {"per_channel": False}, {"bits": 4, "weight_bits": 5}])
def test_quantized_after_training_is_equal(kind, options):
    net = make(kind)
    codes, images = images_for(net, N_IMAGES)
    quantized = check_equal(post_training(net, images, **options), codes, images)
    for layer in quantized.network.layers:
        assert layer.bits == options.get("bits", 8)
        top = 15 if "weight_bits" in options else 127
        is_learned = layer.branches[0].weight.shape[1] > 1
        assert np.abs(layer.branches[0].weight).max() <= (top if is_learned else 127)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(Small, marks=pytest.mark.long), Sequence])
def test_quantized_while_training_is_equal(kind):
    net = make(kind)
    codes, images = images_for(net, N_IMAGES)
    check_equal(aware(net, images), codes, images)


@pytest.mark.medium
def test_archive_is_equal(tmp_path):
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    converted = post_training(net, images)
    torch.export.save(torch.export.export(converted, (images,)), tmp_path / "net.pt2")
    check_equal(converted, codes, images, read_model(tmp_path / "net.pt2"))


class TwoInputs(torch.nn.Module):
    """A convolution of images and a dense layer of vectors, joined; scores and joined values."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.dense = torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(3, 5)
        self.last = torch.nn.Linear(4 * 16 + 5, 3)

    def forward(self, image, state):
        joined = torch.cat([self.conv(image).relu().flatten(1), self.dense(state).relu()], 1)
        return {"scores": self.last(joined), "state": self.dense(state)}


@pytest.mark.medium
@pytest.mark.parametrize("is_archive", [False, True])
def test_several_inputs_and_outputs_are_equal(tmp_path, is_archive):
    rng = np.random.default_rng(4)
    codes = [rng.integers(-127, 128, (N_IMAGES, *shape)) for shape in ((2, 6, 6), (3,))]
    codes[0][0], codes[1][1] = 0, 0
    given = tuple(torch.from_numpy(one.astype(np.float32) / 128) for one in codes)
    exported = torch.export.export(TwoInputs().eval(), given).module()
    prepared = prepare_pt2e(exported, StemQuantizer())
    prepared(*given)
    converted = round_biases(convert_pt2e(prepared))
    model = converted
    if is_archive:
        model = tmp_path / "net.pt2"
        torch.export.save(torch.export.export(converted, given), model)
    graph = read_model(model, None if is_archive else tuple(one.shape[1:] for one in codes))
    assert [part.name for part in graph.parts] == ["image", "state"]
    packed = pack(codes, graph.parts)
    quantized = quantize(graph, packed)
    assert quantized.network.profile == "exact"
    values = run_network(lower(quantized), packed, acc_width=24)
    with torch.no_grad():
        wanted = converted(*given)
    assert [output.name for output in quantized.network.results.outputs] == ["scores", "state"]
    for output in quantized.network.results.outputs:
        layer = next(one for one in quantized.network.layers if one.name == output.source)
        got = values[layer.name].reshape(N_IMAGES, -1) * layer.scale
        assert np.array_equal(got, wanted[output.name].double().numpy())
        assert got.any()


@pytest.mark.medium
def test_what_one_accumulator_sums_is_one_layer():
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    network = quantize(capture(post_training(net, images), net.shape), codes_of(codes)).network
    branches = {layer.name: [b.source for b in layer.branches] for layer in network.layers}
    assert branches == {
        "c1": ["input"],
        "add": ["c1", "c2"] if "c2" in branches else ["c1", "c1"],
        "c3": ["add"],
        "add_2": ["c3", "add"],
        "fc": ["add_2"],
    }
    assert [layer.is_signed for layer in network.layers] == [False, False, True, False, True]


@pytest.mark.medium
def test_free_scales_run_in_the_general_profile():
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    converted = post_training(net, images, power_of_two=False)
    graph = capture(converted, net.shape)
    network = quantize(graph, codes_of(codes)).network
    assert network.profile == "general"
    compared = agreement(graph, network, codes_of(codes), ())
    assert len(compared) == len(network.layers)
    assert (compared[0].equal, compared[0].largest) == (1, 0)
    assert all(one.equal > 0.9 and one.largest <= 2 for one in compared), compared
    assert str(compared[0]).startswith("c1: ")


@pytest.mark.medium
def test_weights_are_taken_as_they_are():
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    for power_of_two in (True, False):
        converted = post_training(net, images, power_of_two=power_of_two)
        network = quantize(capture(converted, net.shape), codes_of(codes)).network
        wanted = [t for n, t in converted.named_buffers() if n.startswith("_frozen_param")]
        assert np.array_equal(network.layers[0].branches[0].weight, wanted[0].numpy())
        dense = network.layers[-1].branches[0].weight.reshape(10, -1)
        assert np.array_equal(dense, wanted[-1].numpy())


@pytest.mark.medium
def test_a_model_that_leaves_its_output_real_gets_a_scale_for_it():
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    prepared = prepare_pt2e(exported(net, images), StemQuantizer())
    for node in prepared.graph.nodes:
        if node.op == "output":  # the last observer goes: its rounding with it
            (observer,) = node.args[0]
            node.args = ((observer.args[0],),)
            prepared.graph.erase_node(observer)
    prepared.recompile()
    prepared(images)
    converted = round_biases(convert_pt2e(prepared))
    network = quantize(capture(converted, net.shape), codes_of(codes))
    logits = converted(images).detach()
    assert network.network.outputs == "values"
    scale = network.network.layers[-1].scale
    largest = float(logits.abs().max()) / scale
    assert largest <= 127 < 2 * largest
    got = network(codes)[network.output].flatten(1)
    assert torch.equal(got.double(), (logits.double() / scale).round())


# What stock quantizers do -------------------------------------------------------------------------
def stock(activation, output):
    """A quantizer of what convolutions and dense layers read, and give, by the given observers."""
    weight = QuantizationSpec(
        dtype=torch.int8,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )

    class Stock(Quantizer):
        def annotate(self, model):
            for node in model.graph.nodes:
                if "conv2d" in str(node.target) or "linear" in str(node.target):
                    inputs = {node.args[0]: activation, node.args[1]: weight}
                    annotation = QuantizationAnnotation(inputs, output)
                    annotation._annotated = True
                    node.meta["quantization_annotation"] = annotation
            return model

        def validate(self, model):
            pass

    return Stock()


def spec(dtype, scheme, low, high):
    return QuantizationSpec(dtype, MinMaxObserver, low, high, scheme)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("dtype", "scheme", "limits", "message"),
    [
        (
            torch.uint8,
            torch.per_tensor_symmetric,
            (0, 255),
            (
                r"has the zero-point 12[78] \(symmetric, but unsigned\); integers of the hardware "
                r"have zero-point 0; quantize .* as StemQuantizer of stemcore\.pt2e does"
            ),
        ),
        (torch.uint8, torch.per_tensor_affine, (0, 255), r"has the zero-point \d+; integers"),
        (
            torch.int16,
            torch.per_tensor_symmetric,
            (-32767, 32767),
            r"must have integers 0\.\.2\^n - 1 or .* has -32767\.\.32767",
        ),
    ],
)
def test_other_integers_are_refused_with_the_way_out(dtype, scheme, limits, message):
    net = make(Pools)
    _, images = images_for(net, N_IMAGES)
    integers = spec(dtype, scheme, *limits)
    prepared = prepare_pt2e(exported(net, images), stock(integers, integers))
    prepared(images)
    converted = convert_pt2e(prepared)
    codes, _ = images_for(net, N_IMAGES)
    with pytest.raises(CompatibilityError, match=message):
        quantize(capture(converted, net.shape), codes_of(codes))


@pytest.mark.medium
def test_values_that_are_left_real_are_refused():
    net = make(Residual)
    codes, images = images_for(net, N_IMAGES)
    symmetric = spec(torch.int8, torch.per_tensor_symmetric, -127, 127)
    prepared = prepare_pt2e(exported(net, images), stock(symmetric, None))
    prepared(images)
    graph = capture(convert_pt2e(prepared), net.shape)
    with pytest.raises(QuantizeError, match=r"every value of a quantized model must be quantized"):
        quantize(graph, codes_of(codes))


@pytest.mark.medium
@pytest.mark.parametrize(
    "choice", [{"bits": 4}, {"weight_bits": 4}, {"profile": "paper"}, {"bias": "output8"}]
)
def test_a_quantized_model_leaves_no_choice(choice):
    net = make(Pools)
    codes, images = images_for(net, N_IMAGES)
    graph = capture(post_training(net, images), net.shape)
    (name,) = choice
    with pytest.raises(QuantizeError, match=rf"^{name}: a model that is quantized already has its"):
        quantize(graph, codes_of(codes), **choice)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 9}, "bits must be 2 to 8, is 9"),
        ({"weight_bits": 1}, "weight_bits must be 2 to 8, is 1"),
        ({"input": "0.5,0.4,0.2,0.1"}, "all channels of the input must have one scale"),
        ({"input": "bytes"}, "INPUT"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, message):
    with pytest.raises(CompileError, match=message):
        StemQuantizer(**options)


def test_without_torchao_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"torchao must be there, .* 'stemcore\[pt2e\]'"):
        pt2e.__getattr__("StemQuantizer")
