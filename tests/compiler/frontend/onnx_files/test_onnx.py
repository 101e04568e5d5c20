# SPDX-License-Identifier: Apache-2.0
"""Networks in ONNX files compute what ONNX Runtime computes, quantized ones to the last integer."""

import numpy as np
import pytest
import torch

from stemcore import extras
from stemcore.compiler.errors import CaptureError, CompatibilityError, CompileError
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_given import agreement
from stemcore.extras import MissingExtraError, has_extra, how_to_install
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.tail import apply_tail

pytestmark = pytest.mark.skipif(not has_extra("onnx"), reason=f"onnx: {how_to_install('onnx')}")
if has_extra("onnx"):
    import onnx
    from onnx import helper

    from tests.support.onnx_nets import Builder, residual, run_onnx

SHAPE = (2, 8, 8)


def inputs(n=10, shape=SHAPE, seed=3):
    """Integers of the chip's input and their real values; sparse, empty and full ones included."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, (n, *shape))
    codes[1] *= rng.random(shape) < 0.05
    codes[2:4] = 0
    codes[3].flat[5] = 1
    codes[4] = 127
    return codes, (codes / 128).astype(np.float32)


def save(tmp_path, model):
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def float_output(graph, images):
    return run_graph(graph, torch.from_numpy(images))[graph.output].flatten(1).numpy()


# Float --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_float_network_computes_what_onnx_runtime_computes(tmp_path, opset):
    model, _ = residual("float", opset=opset)
    _, images = inputs()
    graph = read_model(save(tmp_path, model))
    want = run_onnx(model, images)[0]
    np.testing.assert_allclose(float_output(graph, images), want, rtol=1e-4, atol=1e-5)
    names = {node.name for node in graph.nodes}
    assert {"first", "second", "sum", "pool", "third", "mean", "last"} <= names


def wired(b):
    """A network with most operators that only arrange, and shapes computed on the way."""
    x = b.node("Pad", ["image", b.constant([0, 0, 0, 1, 0, 0, 1, 0], np.int64)])
    weight = b.weights((8, 2, 3, 3), 0.01)
    x = b.node("Conv", [x, weight], auto_pad="SAME_UPPER", strides=[2, 2])
    parts = [b.constant(b.rng.uniform(0.5, 1.5, 8)) for _ in range(4)]
    x = b.node("BatchNormalization", [x, *parts], epsilon=1e-3)
    x = b.node("Clip", [x, b.constant(0.0), b.constant(6.0)])
    first, second = b.node("Split", [x], n_outputs=2, axis=1)
    first = b.node("Relu", [b.node("Sub", [first, b.constant(b.rng.uniform(0, 1, (4, 1, 1)))])])
    second = b.node("Mul", [second, b.constant(0.5)])
    x = b.node("Concat", [first, second], axis=1)
    x = b.node("Sum", [x, x, x])
    x = b.node("ConvTranspose", [x, b.weights((8, 4, 2, 2), 0.02)], strides=[2, 2])
    x = b.node("AveragePool", [x], kernel_shape=[3, 3], strides=[2, 2], count_include_pad=1)
    x = b.node("GlobalAveragePool", [b.node("Relu", [x])])
    batch = b.node("Gather", [b.node("Shape", [x]), b.constant(0, np.int64)], axis=0)
    batch = b.node("Unsqueeze", [batch, b.constant([0], np.int64)])
    x = b.node("Reshape", [x, b.node("Concat", [batch, b.constant([-1], np.int64)], axis=0)])
    x = b.node("MatMul", [x, b.node("Transpose", [b.weights((3, 4), 0.1)], perm=[1, 0])])
    x = b.node("Add", [x, b.constant(b.rng.uniform(-1, 1, 3))])
    return b.node("Softmax", [x], "probabilities", axis=1)


@pytest.mark.medium
def test_shapes_that_are_computed_are_constants(tmp_path):
    b = Builder("float", SHAPE)
    model = b.model(wired(b), (3,))
    _, images = inputs()
    graph = read_model(save(tmp_path, model))
    logits = run_graph(graph, torch.from_numpy(images))[graph.output].numpy()
    assert graph.tail
    want = run_onnx(model, images)[0]
    np.testing.assert_allclose(apply_tail(graph.tail, logits), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4, "N"])
def test_batches_may_be_fixed(tmp_path, batch):
    model, _ = residual("float", batch=batch)
    _, images = inputs(5)
    graph = read_model(save(tmp_path, model), SHAPE)
    free, _ = residual("float")
    want = run_onnx(free, images)[0]
    np.testing.assert_allclose(float_output(graph, images), want, rtol=1e-4, atol=1e-5)


# Quantized ----------------------------------------------------------------------------------------
@pytest.mark.medium
@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("form", ["qdq", "qcdq"])
def test_scales_that_are_powers_of_two_give_every_integer(tmp_path, form, bits):
    model, integers = residual(form, bits=bits)
    codes, images = inputs()
    graph = read_model(save(tmp_path, model))
    quantized = quantize(graph, codes)
    assert quantized.network.profile == "exact"
    values = run_network(lower(quantized), codes, acc_width=24)
    model.graph.output.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), None)
        for name, kind in integers_of(model, integers)
    )
    want = run_onnx(model, images)
    last = quantized.network.layers[-1]
    assert np.array_equal(values[last.name].reshape(10, -1) * last.scale, want[0])
    assert len(quantized.network.layers) == len(integers) - 1  # the input's is no layer
    for layer, computed in zip(quantized.network.layers, want[2:], strict=True):
        pooled = {"sum": lambda v: v.reshape(10, 4, 4, 2, 4, 2).max((3, 5))}
        wanted = pooled.get(layer.name, lambda v: v)(computed)
        assert np.array_equal(values[layer.name].reshape(wanted.shape), wanted), layer.name
    assert [layer.bits for layer in quantized.network.layers] == [bits, bits, 8, 8, 8]


def integers_of(model, names):
    """Names of quantized tensors with their types."""
    zeros = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node}
    for name in names:
        node = made_by[name]
        node = node if node.op_type == "QuantizeLinear" else made_by[node.input[0]]
        yield name, zeros[node.input[2]].dtype


@pytest.mark.medium
def test_quant_nodes_of_qonnx_are_the_pairs_that_they_stand_for(tmp_path):
    codes, _ = inputs()
    networks = [
        quantize(read_model(save(tmp_path, residual(form, bits=5)[0])), codes).network
        for form in ("qonnx", "qcdq")
    ]
    for one, other in zip(*(network.layers for network in networks), strict=True):
        assert (one.name, one.scale, one.limits) == (other.name, other.scale, other.limits)
        for a, b in zip(one.branches, other.branches, strict=True):
            assert np.array_equal(a.weight, b.weight)
            assert a.shift == b.shift
        for field in ("bias", "multiplier", "rescale_shift"):
            assert np.array_equal(getattr(one, field), getattr(other, field))


@pytest.mark.parametrize("form", ["qdq", "qonnx"])
def test_weights_that_are_transposed_keep_their_scales(tmp_path, form):
    b = Builder(form, (6,))
    x = b.quantize("image", 1 / 128, signed=True)
    turned = b.node("Transpose", [b.weights((4, 6), 2.0 ** -np.arange(5, 9))], perm=[1, 0])
    x = b.node("Add", [b.node("MatMul", [x, turned], "last"), b.constant([0.5, 0, -1, 0])])
    model = b.model(b.quantize(x, 1 / 32, signed=True), (4,))
    codes, images = inputs(shape=(6,))
    quantized = quantize(read_model(save(tmp_path, model)), codes[:, :, None, None])
    assert quantized.network.profile == "exact"
    layer = quantized.network.layers[-1]
    values = quantized(torch.from_numpy(codes[:, :, None, None]))[layer.name].flatten(1).numpy()
    if form == "qdq":
        assert np.array_equal(values * layer.scale, run_onnx(model, images)[0])
    assert np.abs(layer.branches[0].weight).max() > 64


@pytest.mark.medium
@pytest.mark.parametrize("form", ["qdq", "qonnx"])
def test_other_scales_run_in_the_general_profile(tmp_path, form):
    codes, _ = inputs()
    graph = read_model(save(tmp_path, residual(form, free=True)[0]))
    network = quantize(graph, codes).network
    assert network.profile == "general"
    compared = agreement(graph, network, codes, ())
    assert [one.layer for one in compared] == ["first", "sum", "third", "mean", "last"]
    assert all(one.equal > 0.85 and one.largest <= 1 for one in compared), compared


@pytest.mark.medium
def test_what_onnx_runtime_quantizes_is_taken_as_it_is(tmp_path):
    from onnxruntime import quantization

    codes, images = inputs(16)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(images)

        def get_next(self):
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    source = save(tmp_path, residual("float")[0])
    quantization.quantize_static(
        source,
        tmp_path / "quantized.onnx",
        Reader(),
        activation_type=quantization.QuantType.QInt8,
        per_channel=True,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )
    model = onnx.load(tmp_path / "quantized.onnx")
    graph = read_model(tmp_path / "quantized.onnx")
    quantized = quantize(graph, codes)
    compared = agreement(graph, quantized.network, codes, ())
    assert len(compared) == len(quantized.network.layers)
    # One integer in a hundred lies beside a tie of float32; layers behind it build on it.
    assert all(one.equal > 0.9 for one in compared[:-1]), "; ".join(map(str, compared))
    assert all(one.largest <= 2 for one in compared), "; ".join(map(str, compared))
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    weights = [array for array in stored.values() if array.dtype == np.int8 and array.ndim == 4]
    taken = [b.weight for layer in quantized.network.layers for b in layer.branches]
    for one in weights:
        assert any(np.array_equal(one, other) for other in taken)


# What is refused ----------------------------------------------------------------------------------
def test_other_zero_points_are_refused(tmp_path):
    b = Builder("qdq", SHAPE)
    x = b.quantize("image", 1 / 128, zero_point=128)
    model = b.model(b.node("Conv", [x, b.weights((2, 2, 8, 8), 2.0**-7)]), (2, 1, 1))
    with pytest.raises(
        CompatibilityError,
        match=r"has the zero-point 128 \(symmetric, but unsigned\); integers of the hardware have "
        r"zero-point 0; quantize with zero-point 0: in ONNX Runtime quantize_static\(.*Symmetric",
    ):
        quantize(read_model(save(tmp_path, model)), inputs()[0])


def test_unknown_operators_are_all_named(tmp_path):
    b = Builder("float", SHAPE)
    x = b.node("LpNormalization", ["image"], "norm")
    x = b.node("Celu", [x], "celu")
    model = b.model(b.node("Flatten", [x]), (128,))
    with pytest.raises(CompatibilityError) as caught:
        read_model(save(tmp_path, model))
    found = [(problem.where, problem.problem) for problem in caught.value.problems]
    assert found == [
        ("norm", "the ONNX operator LpNormalization has no spiking form"),
        ("celu", "the ONNX operator Celu has no spiking form"),
    ]


def test_operators_on_integers_are_refused_with_the_format_that_is_read(tmp_path):
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(inputs(6)[1])

        def get_next(self):
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    quantization.quantize_static(
        save(tmp_path, residual("float")[0]),
        tmp_path / "quantized.onnx",
        Reader(),
        quant_format=quantization.QuantFormat.QOperator,
    )
    with pytest.raises(CompatibilityError) as caught:
        read_model(tmp_path / "quantized.onnx")
    kinds = {problem.problem.split()[3] for problem in caught.value.problems}
    assert {"QLinearConv", "com.microsoft.QLinearAdd"} <= kinds
    for problem in caught.value.problems:
        assert "export it in the format QDQ: quantize_static" in problem.remedy, problem


def test_loops_are_refused_and_do_not_run(tmp_path):
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [value("i", 7, []), value("go", 9, []), value("x", 1, [1])],
        [value("on", 9, []), value("y", 1, [1])],
    )
    b = Builder("float", SHAPE)
    given = [b.constant(1 << 60, np.int64), b.constant(True, np.bool_), b.constant([1.0])]
    shift = b.node("Loop", given, "endless", body=body)
    model = b.model(b.node("Add", ["image", shift]), SHAPE)
    with pytest.raises(CompatibilityError, match=r"endless: the ONNX operator Loop has no spiking"):
        read_model(save(tmp_path, model))


def test_constants_beyond_all_memory_are_refused(tmp_path):
    b = Builder("float", SHAPE)
    huge = b.node("ConstantOfShape", [b.constant([1 << 20, 1 << 20], np.int64)], "huge")
    model = b.model(b.node("Add", ["image", huge]), SHAPE)
    with pytest.raises(CompileError, match=r"^huge: ConstantOfShape makes a constant of more elem"):
        read_model(save(tmp_path, model))


def one_node(kind, *constants, domain="", outputs=1, **attributes):
    def build():
        b = Builder("float", SHAPE)
        given = [b.constant(*constant) for constant in constants]
        x = b.node(kind, ["image", *given], "odd", domain, outputs, **attributes)
        model = b.model(x if outputs == 1 else x[0], (2, 8, 8))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))
        return model

    return build


def sizes(*dimensions):
    def build():
        model, _ = residual("float")
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", 1, dimensions))
        return model

    return build


def quant_node(bits=8, mode="ROUND", scale=(0.1,)):
    def build():
        b = Builder("qonnx", SHAPE)
        rest = [b.constant(scale), b.constant(0.0), b.constant(bits)]
        x = b.node(
            "Quant", ["image", *rest], "odd", "qonnx.custom_op.general",
            signed=1, narrow=1, rounding_mode=mode,
        )  # fmt: skip
        return b.model(x, SHAPE)

    return build


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (sizes("N", 2, "H", 8), r"with all sizes but N fixed, has \[None, 2, None, 8\]"),
        (sizes("N"), r"the input image must have the shape \(N, C, H, W\)"),
        (one_node("Flatten", axis=2), r"^odd: Flatten must keep the batch and flatten the rest"),
        (
            one_node("DepthToSpace", blocksize=1),
            r"^odd: DepthToSpace must have the mode CRD, as torch exports pixel shuffle",
        ),
        (
            one_node("QuantizeLinear", (np.ones(2),), (np.zeros(2), np.uint8), axis=1),
            r"^odd: QuantizeLinear activations must have one scale, have 2",
        ),
        (
            one_node("QuantizeLinear", (0.5,), (0, np.uint16)),
            r"^odd: QuantizeLinear must quantize to integers of 8 bits, quantizes to uint16",
        ),
        (one_node("FarAway", domain="com.example"), r"odd: the ONNX operator com\.example\.FarAw"),
        (quant_node(bits=9), r"^odd: Quant must have 2 to 8 bits, has \[9"),
        (quant_node(mode="FLOOR"), r"^odd: Quant must round to the nearest integer \(ROUND\), ro"),
        (quant_node(scale=np.ones((1, 2, 1, 1))), r"^odd: Quant activations must have one scale"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, build, message):
    path = tmp_path / "net.onnx"
    path.write_bytes(build().SerializeToString())
    with pytest.raises(CompileError, match=message):
        read_model(path)


def test_old_operator_sets_are_refused(tmp_path):
    model, _ = residual("float", opset=8)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CaptureError, match=r"its operator set must be 9 or later, is 8; convert"):
        read_model(path)


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    with pytest.raises(CaptureError, match=r"net\.onnx: the file must exist, nothing is there"):
        read_model(path)
    for data in (b"not a model", b"", residual("float")[0].SerializeToString()[:-40]):
        path.write_bytes(data)
        with pytest.raises(CaptureError, match=r"net\.onnx: must be an ONNX model; reading it"):
            read_model(path)


def test_another_shape_than_the_files_is_refused(tmp_path):
    path = save(tmp_path, residual("float")[0])
    with pytest.raises(CaptureError, match=r"the file has the inputs image \(2, 8, 8\); got"):
        read_model(path, (2, 9, 9))


@pytest.mark.medium
def test_weights_of_minus_128_are_refused(tmp_path):
    model, _ = residual("qdq")
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.int8 and array.shape == (4, 2, 3, 3):
            changed = array.copy()
            changed[0, 0, 0, 0] = -128
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    graph = read_model(save(tmp_path, model))
    with pytest.raises(
        CompileError, match=r"^first: its weights must be integers -127\.\.127, reach -128; quanti"
    ):
        quantize(graph, inputs()[0])


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path, residual("float")[0])
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"onnx must be there, .* 'stemcore\[onnx\]'"):
        read_model(path)
