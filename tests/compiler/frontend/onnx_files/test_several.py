# SPDX-License-Identifier: Apache-2.0
"""ONNX files with several inputs and outputs compute what ONNX Runtime computes."""

import numpy as np
import pytest

import stemcore
from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.input_parts import pack
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.quantize import quantize
from stemcore.extras import has_extra, how_to_install
from stemcore.golden.network.forward import run_network
from stemcore.runtime.prepare import prepare
from stemcore.runtime.settings import Settings

pytestmark = pytest.mark.skipif(not has_extra("onnx"), reason=f"onnx: {how_to_install('onnx')}")
if has_extra("onnx"):
    import onnx
    import onnxruntime

    from tests.support.onnx_nets import Builder

IMAGE, STATE = (2, 6, 6), (3,)
SIZES = {"image": IMAGE, "inner state": STATE}


def two_inputs(form, *, batches=("N", "N"), factor=1.0):
    """A convolution of images and a dense layer of vectors, joined; scores and the joined values.

    ``factor``: worth of the vectors' integers, as a multiple of 1/128.
    """
    b = Builder(form, IMAGE)
    x = b.quantize("image", 2.0**-7, signed=True)
    v = b.quantize("inner state", factor * 2.0**-7, signed=True)
    x = b.node("Conv", [x, b.weights((4, 2, 3, 3), 2.0**-8), b.bias(4, 2.0**-15)], "conv")
    x = b.quantize(b.node("Relu", [x]), 2.0**-6)
    x = b.node("Flatten", [b.node("MaxPool", [x], kernel_shape=[4, 4])])
    v = b.node("Gemm", [v, b.weights((5, 3), 2.0**-7), b.bias(5, factor * 2.0**-14)], "dense",
               transB=1)  # fmt: skip
    v = b.quantize(b.node("Relu", [v]), 2.0**-6)
    joined = b.node("Concat", [x, v], "joined", axis=1)
    y = b.node("Gemm", [joined, b.weights((3, 9), 2.0**-7), b.bias(3, 2.0**-13)], "last", transB=1)
    y = b.quantize(y, 2.0**-4, signed=True)
    model = b.model(y, (3,))
    value = onnx.helper.make_tensor_value_info
    del model.graph.input[:]
    for (name, sizes), batch in zip(SIZES.items(), batches, strict=True):
        model.graph.input.append(value(name, onnx.TensorProto.FLOAT, [batch, *sizes]))
    model.graph.output.append(value(v, onnx.TensorProto.FLOAT, ["N", 5]))
    return model


def codes_for(n=12):
    """Integers of both inputs; empty and sparse ones included."""
    rng = np.random.default_rng(5)
    codes = [rng.integers(-127, 128, (n, *sizes)) for sizes in SIZES.values()]
    for one in codes:
        one[0] = 0
        one[1] *= rng.random(one.shape[1:]) < 0.2
    return codes


def run_onnx(model, given):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, given)


def save(tmp_path, model):
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_a_float_file_runs_through_the_front_door(tmp_path):
    model = two_inputs("float")
    given = {
        name: (one / 128).astype(np.float32) for name, one in zip(SIZES, codes_for(), strict=True)
    }
    compiled = stemcore.compile(save(tmp_path, model), calibration=given, input="signed")
    result = compiled.run(given, engine="program")
    assert result.bit_exact
    assert [part.name for part in compiled.compilation.graph.parts] == list(SIZES)
    assert len(result.final) == 2
    for got, want in zip(result.final, run_onnx(model, given), strict=True):
        assert np.abs(got.reshape(want.shape) - want).max() < 0.05 * np.abs(want).max()


@pytest.mark.parametrize("factor", [1.0, 4.0])
@pytest.mark.parametrize("form", ["qdq", "qcdq", "qonnx"])
def test_quantized_files_give_every_integer(tmp_path, form, factor):
    model = two_inputs(form, factor=factor)
    graph = read_model(save(tmp_path, model))
    codes = codes_for()
    packed = pack(codes, graph.parts)
    quantized = quantize(graph, packed, input_factors=(1.0, 1.0, factor, factor, factor))
    network = quantized.network
    assert network.profile == "exact"
    assert [layer.name for layer in network.layers] == ["conv", "dense", "last"]
    values = run_network(lower(quantized), packed)
    plain = two_inputs("qdq", factor=factor)  # QONNX has no runtime of its own
    worth = (2.0**-7, factor * 2.0**-7)
    given = {
        name: (one * step).astype(np.float32)
        for name, one, step in zip(SIZES, codes, worth, strict=True)
    }
    want = run_onnx(plain, given)
    for output, wanted in zip(network.results.outputs, want, strict=True):
        layer = next(layer for layer in network.layers if layer.name == output.source)
        assert np.array_equal(values[layer.name].reshape(wanted.shape) * layer.scale, wanted)
        assert wanted.any()


def test_batches_that_differ_are_refused(tmp_path):
    path = save(tmp_path, two_inputs("float", batches=("N", 4)))
    with pytest.raises(CaptureError, match=r"one batch size, or any; image any, inner state 4 cam"):
        read_model(path)


@pytest.mark.parametrize(
    "given", [(2, 6, 6), {"image": IMAGE}, (STATE, IMAGE), {"image": IMAGE, "state": STATE}]
)
def test_other_shapes_and_names_are_refused(tmp_path, given):
    path = save(tmp_path, two_inputs("float"))
    with pytest.raises(
        CaptureError, match=r"has the inputs image \(2, 6, 6\), inner state \(3,\); got"
    ):
        read_model(path, given)
    assert read_model(path, SIZES).parts == read_model(path, tuple(SIZES.values())).parts


def test_a_run_takes_arrays_by_the_names_of_the_file(tmp_path):
    given = {
        f"x_{split}.{name}": (one / 128).astype(np.float32)
        for name, one in zip(SIZES, codes_for(), strict=True)
        for split in ("train", "test")
    }
    np.savez(tmp_path / "own.npz", **given)
    settings = Settings(
        model=str(save(tmp_path, two_inputs("float"))), dataset=str(tmp_path / "own.npz")
    )
    found = prepare(settings, n_train=12, n_test=4)
    assert found.integers.shape == (4, 5, 6, 6)
    assert [part.name for part in found.compilation.graph.parts] == list(SIZES)
