# SPDX-License-Identifier: Apache-2.0
"""The user's own models: which references there are, and files of models."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CompileError
from stemcore.compiler.frontend.archives.torch_archive import load_program
from stemcore.compiler.frontend.graph import Graph
from stemcore.models.errors import ModelError
from stemcore.runtime.own_model import is_own_file, is_own_model, load_own_model


def build():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()


def export(path, module, *inputs):
    torch.export.save(torch.export.export(module, inputs), path)
    return str(path)


@pytest.mark.parametrize(
    ("reference", "verdict", "is_file"),
    [
        ("net.pt2", True, True),
        ("a/NET.PT2", True, True),
        ("a/b.py:net", True, False),
        ("net.pth", True, True),
        ("tiny_vgg", False, False),
        ("b.py", False, False),
    ],
)
def test_references_to_own_models(reference, verdict, is_file):
    assert is_own_model(reference) is verdict
    assert is_own_file(reference) is is_file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.pth", r"ends in \.pth; it is a pickle, and reading it would run what is in it: load"),
        ("net.pt", r"ends in \.pt; it is a pickle"),
        ("net.jit", r"ends in \.jit; TorchScript is code: give the module it was scripted from"),
        ("net.h5", r"ends in \.h5; convert it with python -m tf2onnx\.convert --keras net\.h5"),
        ("net.tflite", r"ends in \.tflite; convert it with python -m tf2onnx\.convert --tflite"),
        ("w.safetensors", r"it holds weights without a network: .* and this file as CHECKPOINT="),
    ],
)
def test_files_that_need_a_step_name_it(tmp_path, name, message):
    path = tmp_path / name
    path.write_bytes(b"anything")
    with pytest.raises(CompileError, match=message):
        load_own_model(str(path))


def test_code_is_loaded(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from torch import nn\n\ndef net():\n    return nn.Conv2d(1, 2, 3)\n"
        "net.input_shape = (1, 4, 4)\n"
    )
    assert load_own_model(f"{path}:net").output_shape == (2, 2, 2)


def test_missing_archive_is_refused(tmp_path):
    with pytest.raises(CompileError, match=r"^.*mine\.pt2: the archive must exist, nothing is"):
        load_own_model(f"{tmp_path}/mine.pt2")


@pytest.mark.medium
def test_archives_are_checked_before_anything_of_them_runs(tmp_path, monkeypatch):
    path = export(
        tmp_path / "net.pt2",
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.LocalResponseNorm(2)).eval(),
        torch.randn(2, 2, 6, 6),
    )
    monkeypatch.setattr(torch.export.ExportedProgram, "module", lambda self: pytest.fail("ran"))
    with pytest.raises(CompileError, match="to solve before it can be compiled"):
        load_own_model(path)


def test_archive_is_loaded(tmp_path):
    module, images = build(), torch.randn(2, 2, 6, 6)
    model = load_own_model(export(tmp_path / "mine.pt2", module, images))
    assert (model.name, model.input_shape, model.output_shape) == ("mine", (2, 6, 6), (5,))
    torch.testing.assert_close(model.module(images), module(images))
    assert isinstance(model.graph, Graph)


@pytest.mark.medium
def test_archive_with_a_free_batch_is_loaded(tmp_path):
    path = tmp_path / "free.pt2"
    program = torch.export.export(
        build(), (torch.randn(2, 2, 6, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(program, path)
    assert load_own_model(str(path)).input_shape == (2, 6, 6)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("n_images", "dim", "limits"),
    [
        (1, None, (1, 1)),
        (4, None, (4, 4)),
        (2, torch.export.Dim("batch"), (1, None)),
        (4, torch.export.Dim("some", min=3, max=6), (3, 6)),
    ],
    ids=["static1", "static4", "dynamic", "bounded"],
)
def test_archive_of_any_batch_runs_any_number_of_images(tmp_path, n_images, dim, limits):
    path, module = tmp_path / "net.pt2", build()
    shapes = None if dim is None else ({0: dim},)
    example = (torch.randn(n_images, 2, 6, 6),)
    torch.export.save(torch.export.export(module, example, dynamic_shapes=shapes), path)
    model = load_own_model(str(path))
    found = model.module.least, model.module.most
    assert found[1] == limits[1]
    assert found[0] == limits[0] or limits[1] is None
    assert not model.module.training
    for n in (1, 2, 3, 4, 5, 7, 13):
        images = torch.randn(n, 2, 6, 6)
        with torch.no_grad():
            torch.testing.assert_close(model.module(images), module(images))


SAVE_QUANTIZED = """
import sys
import torch
import torch.ao.quantization.fx._decomposed

class Net(torch.nn.Module):
    def forward(self, x):
        ops = torch.ops.quantized_decomposed
        q = ops.quantize_per_tensor(x, 0.5, 0, -127, 127, torch.int8)
        return ops.dequantize_per_tensor(q, 0.5, 0, -127, 127, torch.int8).mean((2, 3))

torch.export.save(torch.export.export(Net(), (torch.zeros(1, 2, 4, 4),)), sys.argv[1])
"""


@pytest.mark.slow
def test_quantized_archive_of_another_process_is_loaded(tmp_path):
    path = tmp_path / "quantized.pt2"
    subprocess.run([sys.executable, "-c", SAVE_QUANTIZED, str(path)], check=True)
    images = torch.full((1, 2, 4, 4), 0.6)
    assert torch.equal(load_program(path).module()(images), torch.full((1, 2), 0.5))


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "mine.pt2"
    path.write_bytes(b"not an archive")
    with pytest.raises(
        CompileError,
        match=r"^.*mine\.pt2: must be an archive of torch\.export\.save;"
        r" reading it gave .*; export the model again",
    ):
        load_own_model(str(path))


def test_archive_of_another_kind_of_input_is_refused(tmp_path):
    flat = export(tmp_path / "flat.pt2", nn.Linear(3, 2), torch.randn(3))
    with pytest.raises(
        ModelError,
        match=r"^.*flat\.pt2: the model must take one tensor "
        r"\(N, C, H, W\), \(N, C, L\) or \(N, F\); \(3,\) came; export",
    ):
        load_own_model(flat)


@pytest.mark.parametrize(
    ("net", "shape"), [(nn.Linear(3, 2), (3,)), (nn.Conv1d(2, 4, 3), (2, 7))], ids=["F", "CL"]
)
def test_archives_of_vectors_and_sequences_have_their_own_dimensions(tmp_path, net, shape):
    path = export(tmp_path / "net.pt2", net.eval(), torch.randn(2, *shape))
    loaded = load_own_model(path)
    assert loaded.input_shape == shape
    assert loaded.module(torch.zeros(5, *shape)).shape[0] == 5
