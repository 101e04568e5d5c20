# SPDX-License-Identifier: Apache-2.0
"""Input that cannot be used: status 2, and a message that says where, what, and the way out."""

import re

import numpy as np
import pytest

from stemcore.golden.network.forward import run_network
from stemcore.golden.program.program_file import MEMORIES_FILE, load_program, save_program
from stemcore.golden.reference.program_engine import run_program
from stemcore.models.checkpoint import checkpoint_path
from stemcore.runtime.commands.main import main
from tests.support.hand_programs import conv_chain_program

MODELS = """
import torch
from torch import nn


def shaped(*layers):
    torch.manual_seed(0)
    module = nn.Sequential(*layers)
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module


def plain():
    return shaped(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def group_norm():
    return shaped(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 10))


def several():
    return shaped(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.Softmax(1), nn.Flatten(),
        nn.Linear(64, 10),
    )


def not_a_number():
    module = plain()
    module[0].weight.data[2, 0, 1, 1] = float("nan")
    module[3].bias.data[:] = float("inf")
    return module


def wrong_shape():
    module = plain()
    module.input_shape = (1, 9, 9)
    return module


def fails():
    raise RuntimeError("no weights here")
"""


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused; returns what it says after ``error: ``."""

    def run(*words):
        assert main([str(word) for word in words]) == 2
        # Lines of stages come first, and on a slow machine signs of life.
        _, found, said = f"\n{capsys.readouterr().err}".partition("\nerror: ")
        assert found
        return said.rstrip("\n")

    return run


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return path


def matches(pattern, text):
    assert re.fullmatch(pattern, text, re.DOTALL), text


def test_unknown_model(refused):
    matches(
        r"model: must be one of digits_cnn, .*; 'nothing' came; choose one of them, a "
        r"file\.py:function or a \.pt2 archive",
        refused("sim", "--model", "nothing"),
    )


@pytest.mark.parametrize("command", ["sim", "check", "verilog", "sparsify"])
@pytest.mark.parametrize("code", ["direct", "position"])
def test_network_of_lif_neurons(refused, command, code):
    matches(
        rf"cifar10net_w64_{code}: the compiler needs ReLU; LIF neurons came, which fire when their "
        r"potential crosses a threshold and keep the rest for later steps, .*; choose "
        r"MODEL=cifar10net_w64, the same layers with ReLU, or `make tables`, which compares both",
        refused(command, "--model", f"cifar10net_w64_{code}"),
    )


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("missing", r"must define the function 'missing'; nothing of that name came; check the .*"),
        ("fails", r"must run without arguments and errors; RuntimeError: no weights here came; .*"),
        ("wrong_shape", r"must accept an input of shape \(1, 1, 9, 9\); .* came; correct .*"),
    ],
)
def test_function_that_gives_no_model(refused, models, function, problem):
    text = refused("sim", "--model", f"{models}:{function}")
    matches(rf"{re.escape(str(models))}:{function}: the (file|function|model) {problem}", text)


def test_model_file_that_is_not_there(refused, tmp_path):
    path = tmp_path / "none.py"
    matches(
        rf"{path}:build: the file must exist; nothing is at {path}; check the path",
        refused("sim", "--model", f"{path}:build"),
    )


NO_FORM = {
    "group_norm": [
        r"1: aten\.group_norm\.default has no spiking form: it divides .*; use batch norm, .*"
    ],
    "several": [
        r"1: aten\.group_norm\.default has no spiking form: it divides .*; use batch norm, .*",
        r"3: aten\.softmax\.int has no spiking form: it divides by a sum over neurons, .*; .*",
    ],
    "not_a_number": [
        r"0: weights must be finite, 1 of 36 are NaN or infinite; load weights of a training .*",
        r"3: bias must be finite, 10 of 10 are NaN or infinite; load weights of a training .*",
    ],
}


@pytest.mark.parametrize("function", NO_FORM)
def test_model_that_has_no_spiking_form(refused, models, function):
    lines = NO_FORM[function]
    n = f"{len(lines)} problems" if len(lines) > 1 else "1 problem"
    first, *others = refused("sim", "--model", f"{models}:{function}").splitlines()
    matches(rf"models: {n} to solve before it can be compiled:", first)
    for pattern, line in zip(lines, others, strict=True):
        matches(rf"  {pattern}", line)


def test_weights_of_another_model(refused, models):
    path = checkpoint_path("digits_cnn", "digits")
    matches(
        r"digits_cnn-digits\.safetensors: must hold weights of tiny_vgg; those of digits_cnn came; "
        r"name the file of tiny_vgg",
        refused("sim", "--model", "tiny_vgg", "--checkpoint", path),
    )
    matches(
        r"digits_cnn-digits\.safetensors: its names must be those of the model's state_dict; .* are"
        r" missing, and .* are not in the model; build the model as it was trained, or rename the "
        r"tensors",
        refused("sim", "--model", f"{models}:plain", "--checkpoint", path),
    )


def test_weights_that_are_not_there(refused, tmp_path):
    path = tmp_path / "digits_cnn-digits.safetensors"
    matches(
        rf"{path.name}: the weight file must exist; nothing is at {path}; run "
        r"'stemcore train --model digits_cnn --dataset digits' \(make train\)",
        refused("sim", "--model", "digits_cnn", "--checkpoint", path),
    )
    path.write_bytes(checkpoint_path("digits_cnn", "digits").read_bytes()[:1000])
    matches(
        rf"{path.name}: must be a safetensors file with JSON metadata; reading it gave .*; run "
        r"'stemcore train --model digits_cnn --dataset digits' \(make train\)",
        refused("sim", "--model", "digits_cnn", "--checkpoint", path),
    )


def test_waves_outside_the_mesh_are_refused_before_anything_runs(refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stemcore.runtime.simulate.run_network", None)
    matches(
        r"waves: a node must lie in columns 0 to 2 and rows 1 to 2, got \(9, 9\)",
        refused("sim", "--model", "digits_cnn", "--waves", "9,9"),
    )


@pytest.mark.parametrize("n_images", [0, -3, 361])
@pytest.mark.parametrize("command", ["sim", "check", "verilog"])
def test_number_of_images_out_of_range(refused, models, command, n_images):
    matches(
        rf"IMAGES: must lie in 1\.\.360, the test images of digits; got {n_images}",
        refused(command, "--model", f"{models}:plain", "--images", n_images),
    )


def test_number_of_accuracy_images_out_of_range(refused):
    matches(
        r"accuracy-images: must be 1 or more, got 0; leave it out for up to 1000 as "
        r"the network's size allows",
        refused("sim", "--model", "digits_cnn", "--accuracy-images", 0),
    )


@pytest.mark.parametrize("bits", [-1, 1, 9])
def test_bits_out_of_range(refused, models, bits):
    matches(
        rf"all layers: bits must be 2 to 8, got {bits}",
        refused("sim", "--model", f"{models}:plain", "--bits", bits),
    )


@pytest.mark.parametrize(
    "words", [("--mesh", "1x1"), ("--cores", "1"), ("--mesh", "2x2", "--cores", "1")]
)
def test_chip_too_small(refused, words):
    matches(
        r"digits_cnn: needs at least \d+ cores, has 1; give more cores, a larger mesh or a preset "
        r"with larger memories",
        refused("sim", "--model", "digits_cnn", "--preset", "tiny", *words),
    )


@pytest.mark.parametrize("mesh", ["0x3", "3x0", "9x2", "2x8"])
def test_mesh_that_coordinates_cannot_name(refused, models, mesh):
    columns, rows = mesh.split("x")
    matches(
        rf"mesh: must have 1 to 8 columns and 1 to 7 rows, got {columns} x {rows}; choose a "
        r"smaller mesh or a preset with a larger coord_width",
        refused("sim", "--model", f"{models}:plain", "--preset", "tiny", "--mesh", mesh),
    )


@pytest.mark.parametrize("model", ["digits_cnn", "plain"])
def test_unknown_dataset(refused, models, model):
    model = model if model == "digits_cnn" else f"{models}:{model}"
    matches(
        r"dataset: must be one of digits, cifar10, .*; 'svhn' came; choose one of them",
        refused("sim", "--model", model, "--dataset", "svhn"),
    )


def test_folder_without_cifar10(refused, models, tmp_path):
    words = ("--dataset", "cifar10", "--data", tmp_path / "empty")
    matches(
        r"cifar10: a folder with data_batch_1\.bin \.\., data_batch_1 \.\. or cifar10_jpeg\.npz "
        rf"must be found; looked at {tmp_path / 'empty'}; name it with --data "
        r"\(make: DATA=\.\.\) or the variable STEMCORE_DATA, or use the dataset digits",
        refused("sim", "--model", f"{models}:plain", *words),
    )


@pytest.mark.parametrize("shape", [(2, 2, 4, 5), (2, 3, 4, 4), (2, 4, 4), (2, 2, 4, 4, 1)])
def test_images_of_another_shape(shape):
    program, network = conv_chain_program()
    images = np.zeros(shape, np.int64)
    message = rf"^images: must have shape \(N, 2, 4, 4\), got {re.escape(str(shape))}; resize them$"
    with pytest.raises(ValueError, match=message):
        run_network(network, images)
    with pytest.raises(ValueError, match=message):
        run_program(program, images)


def test_damaged_memory_images(tmp_path):
    program, _ = conv_chain_program()
    save_program(program, tmp_path)
    path = tmp_path / MEMORIES_FILE
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    message = (
        rf"^{path}: {len(data) // 2} bytes must match the checksum in program\.json, do not; "
        r"compile the network again$"
    )
    with pytest.raises(ValueError, match=message):
        load_program(tmp_path)
    path.unlink()
    message = (
        rf"^{path}: must be a file of a saved program, got: No such file or directory; name a "
        r"directory written by save_program$"
    )
    with pytest.raises(ValueError, match=message):
        load_program(tmp_path)
