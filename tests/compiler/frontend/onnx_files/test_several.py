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

    from tests.support.onnx_nets import run_onnx, two_input_net

IMAGE, STATE = (2, 6, 6), (3,)
SIZES = {"image": IMAGE, "inner state": STATE}


def two_inputs(form, **options):
    return two_input_net(form, SIZES, **options)


def codes_for(n=12):
    """Integers of both inputs; empty and sparse ones included."""
    rng = np.random.default_rng(5)
    codes = [rng.integers(-127, 128, (n, *sizes)) for sizes in SIZES.values()]
    for one in codes:
        one[0] = 0
        one[1] *= rng.random(one.shape[1:]) < 0.2
    return codes


def save(tmp_path, model):
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.mark.medium
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


@pytest.mark.medium
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


@pytest.mark.medium
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


def test_two_inputs_of_one_name_are_refused(tmp_path):
    model = two_inputs("qonnx")
    model.graph.input.append(model.graph.input[1])
    with pytest.raises(
        CaptureError, match=r"must have a name of its own; 'inner state' came 2 times; export"
    ):
        read_model(save(tmp_path, model))


def test_inputs_of_text_are_refused(tmp_path):
    model = two_inputs("float")
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with pytest.raises(
        CaptureError, match=r"inner state must be of one of the types FLOAT, .*; STRING came"
    ):
        read_model(save(tmp_path, model))


@pytest.mark.medium
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
