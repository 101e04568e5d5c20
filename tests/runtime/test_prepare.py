# SPDX-License-Identifier: Apache-2.0
"""Commands find what another of them compiled; archives come with their own weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stemcore.extras import has_extra
from stemcore.models.errors import ModelError
from stemcore.runtime.check import check_all
from stemcore.runtime.compile_folder import kept_beside
from stemcore.runtime.load_model import load_model
from stemcore.runtime.report.names import compile_folder
from stemcore.runtime.settings import Settings, compile_options
from stemcore.runtime.simulate import simulate
from stemcore.runtime.write_verilog import write_verilog


def reused(said):
    return [line for line in said if line.startswith("compile") and "reused" in line]


@pytest.mark.long
@pytest.mark.slow
def test_commands_reuse_what_the_others_compiled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings("digits_cnn")
    kept = "sim_build/digits_cnn-digits/compiled"
    front = f"compile      quantize to activity reused from {kept}"
    back = f"compile      map to assemble reused from {kept}"
    said = []
    first = simulate(settings, n_images=2, engine="program", say=said.append)
    assert reused(said) == []
    said = []
    second = simulate(settings, n_images=2, engine="program", say=said.append)
    assert reused(said) == [front, back]
    for name in ("hashes", "accuracy", "layers", "bit_exact"):
        assert second.report[name] == first.report[name]
    said = []
    check_all(settings, n_images=5, say=said.append)
    assert reused(said) == [front]
    said = []
    write_verilog(settings, say=said.append)
    assert reused(said) == [front, back]
    # Other cores change nothing up to the stage that asks for them, and little after that.
    said = []
    late = Settings("digits_cnn", integration="late")
    simulate(late, n_images=1, engine="golden", say=said.append)
    assert reused(said) == [f"compile      quantize to lower, skip_buffers reused from {kept}"]


def test_networks_go_by_the_name_that_the_user_gave(tmp_path):
    def name(model):
        return compile_options(Settings(model), (1, 8, 8)).name

    assert name("digits_cnn") == "digits_cnn"
    assert name(f"{tmp_path}/my net.py:build") == "my net"
    assert name("nets/own.pt2") == "own"


def test_neighbours_are_of_the_same_model_and_data(tmp_path):
    others = ("m-digits.1a2b", "m-cifar10", "m2-digits")
    for name in ("m-digits", "m-digits-late", "m-digits-bits5", *others):
        (tmp_path / name / "compiled").mkdir(parents=True)
    found = kept_beside(tmp_path / "m-digits-late" / "compiled")
    assert [path.parent.name for path in found] == ["m-digits", "m-digits-bits5"]


def test_the_folder_of_a_compilation_lies_with_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = compile_folder(Settings("digits_cnn", bits=5))
    assert folder == tmp_path / "sim_build" / "digits_cnn-digits-bits5" / "compiled"


@pytest.mark.medium
@pytest.mark.parametrize("n_images", [1, 3])
def test_exported_archives_of_one_batch_size_go_all_the_way(tmp_path, monkeypatch, n_images):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)
    ).eval()
    program = torch.export.export(net, (torch.zeros(n_images, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2", extra_files={"input": "unit"})
    result = simulate(Settings("net.pt2"), n_images=2, engine="program", accuracy_images=20)
    assert result.report["bit_exact"]["torch_golden"]
    assert result.report["bit_exact"]["golden_program"]


@pytest.mark.medium
@pytest.mark.skipif(not has_extra("onnx"), reason="needs the extra onnx")
@pytest.mark.parametrize(("free", "profile"), [(False, "exact"), (True, "general")])
def test_quantized_files_go_all_the_way(tmp_path, monkeypatch, free, profile):
    import onnx

    from tests.support.onnx_nets import residual

    monkeypatch.chdir(tmp_path)
    onnx.save(residual("qdq", free=free)[0], tmp_path / "net.onnx")
    images = np.random.default_rng(2).integers(0, 256, (40, 2, 8, 8), dtype=np.uint8)
    np.savez("mine.npz", x_train=images[:30], x_test=images[30:])
    said = []
    settings = Settings("net.onnx", "mine.npz", input="signed")
    result = simulate(settings, n_images=2, engine="program", accuracy_images=8, say=said.append)
    assert result.report["bit_exact"]["torch_golden"]
    assert result.report["bit_exact"]["golden_program"]
    assert result.report["profile"] == profile
    (line,) = [line for line in said if line.startswith("quantized    as the model came")]
    assert line.endswith(f": {profile} profile")
    lines = [line for line in said if line.startswith("integers     ")]
    assert [line.split()[1] for line in lines] == ["first:", "sum:", "third:", "mean:", "last:"]
    all_equal = [line for line in lines if line.endswith("100.0000% equal, largest difference 0")]
    assert (len(all_equal) == 5) is not free


@pytest.mark.medium
@pytest.mark.skipif(not has_extra("onnx"), reason="needs the extra onnx")
def test_averages_in_two_layers_go_all_the_way(tmp_path, monkeypatch):
    import onnx

    from tests.support.onnx_nets import Builder

    monkeypatch.chdir(tmp_path)
    b = Builder("qdq", (2, 6, 6))
    x = b.quantize("image", 1 / 128, signed=True)
    x = b.quantize(b.node("GlobalAveragePool", [x], "mean"), 1 / 128, signed=True)
    x = b.node("Gemm", [b.node("Flatten", [x]), b.weights((3, 2), 2.0**-7)], "last", transB=1)
    onnx.save(b.model(b.quantize(x, 1 / 128, signed=True), (3,)), tmp_path / "net.onnx")
    images = np.random.default_rng(2).integers(0, 256, (30, 2, 6, 6), dtype=np.uint8)
    np.savez("mine.npz", x_train=images[:20], x_test=images[20:])
    settings = Settings("net.onnx", "mine.npz", input="signed")
    report = simulate(settings, n_images=2, engine="program").report
    assert report["bit_exact"]["golden_program"]
    assert [layer["name"] for layer in report["layers"]] == ["mean.stage1", "mean", "last"]
    # A layer that only rounds for the next has no value of the float network's.
    assert list(report["fidelity"]["sqnr_db"]) == ["input", "mean", "last"]


def test_archives_take_no_other_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(2, 1, 8, 8),)), tmp_path / "net.pt2")
    settings = Settings("net.pt2", checkpoint=tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"^net\.pt2: a file must come with its own weights"):
        load_model(settings)


def test_own_models_take_a_plain_state_dict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "build.input_shape = (1, 8, 8)\n"
    )
    state = {"1.weight": torch.randn(10, 64), "1.bias": torch.randn(10)}
    save_file(state, tmp_path / "w.safetensors")
    loaded = load_model(Settings("net.py:build", checkpoint=tmp_path / "w.safetensors"))
    assert loaded.weights == "of w.safetensors"
    assert all(torch.equal(loaded.module.state_dict()[name], state[name]) for name in state)
