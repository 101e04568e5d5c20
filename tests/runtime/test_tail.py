# SPDX-License-Identifier: Apache-2.0
"""The host's part of a network: in results, saved files, programs and reports."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.golden.network.tail import Scale, apply_tail
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.runtime.commands.main import main
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate

NET = """
import torch
from torch import nn

class Classifier(nn.Module):
    input_shape = (1, 8, 8)
    input_range = (-1.0, 127 / 128)

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(64, 10)

    def forward(self, x):
        return END

def build():
    torch.manual_seed(2)
    return Classifier()
"""


class Top(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(16, 10)

    def forward(self, x):
        return torch.topk(self.dense(x.flatten(1)).softmax(1), 2)


def compiled(module, rng):
    torch.manual_seed(2)
    images = rng.integers(-127, 128, (32, 1, 4, 4))
    return stemcore.compile(module.eval(), calibration=images, name="net"), images


def test_a_result_has_the_integers_and_what_the_host_makes_of_them(rng, tmp_path):
    network, images = compiled(Top(), rng)
    assert network.notes[-1].startswith("on the host, after the chip: shape (10,), softmax over")
    result = network.run(images[:5], engine="program")
    assert result.integers.shape == (5, 10, 1, 1)
    scores, classes = result.final
    order = np.argsort(-result.integers[:, :, 0, 0], axis=1, kind="stable")
    np.testing.assert_array_equal(classes, order[:, :2])
    real = np.exp(result.outputs[:, :, 0, 0])
    np.testing.assert_allclose(scores[:, 0], (real / real.sum(1, keepdims=True)).max(1))
    with np.load(result.save(tmp_path / "r.npz")) as stored:
        np.testing.assert_array_equal(stored["final"], scores)
        np.testing.assert_array_equal(stored["final_indices"], classes)


def test_a_network_without_a_tail_returns_its_outputs(rng, tmp_path):
    network, images = compiled(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), rng)
    assert network.notes == ("outputs are values: a scale that clips none of them in calibration",)
    result = network.run(images[:2], engine="golden")
    np.testing.assert_array_equal(result.final, result.outputs)
    with np.load(result.save(tmp_path / "r.npz")) as stored:
        assert "final" not in stored.files


@pytest.mark.medium
def test_the_tail_is_a_fact_of_saved_networks_and_programs(rng, tmp_path):
    network, images = compiled(Top(), rng)
    again = stemcore.load(network.save(tmp_path / "net"))
    assert again.network.tail == network.network.tail != ()
    save_program(network.program, tmp_path / "program")
    program = load_program(tmp_path / "program")
    assert program.tail == network.program.tail
    assert isinstance(program.tail[0], Scale)
    result = again.run(images[:3], engine="program")
    for found, wanted in zip(apply_tail(program.tail, result.integers), result.final, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_damaged_tails_of_programs_are_refused(rng, tmp_path):
    network, _ = compiled(Top(), rng)
    save_program(network.program, tmp_path)
    path = tmp_path / "program.json"
    content = json.loads(path.read_text())
    content["program"]["tail"][-1]["k"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"must match its checksum"):
        load_program(tmp_path)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("end", "host"),
    [
        ("self.dense(x.flatten(1)).log_softmax(1)", "log_softmax over axis 1"),
        ("self.dense(x.flatten(1)).argmax(1)", "argmax over axis 1"),
        ("torch.topk(self.dense(x.flatten(1)), 2)", "the 2 largest over axis 1"),
    ],
)
def test_a_run_says_what_the_host_computes(end, host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("END", end))
    said = []
    settings = Settings("net.py:build")
    result = simulate(settings, n_images=2, engine="program", accuracy_images=20, say=said.append)
    assert f"host         shape (10,), {host}: computed after the chip" in said
    assert "outputs      class scores: the scale that loses the fewest largest ones" in said
    assert result.report["tail"] == f"shape (10,), {host}"
    assert result.report["settings"]["outputs"] == "classes"
    # An untrained classifier of ten digits: float and quantized network agree on most images.
    accuracy = result.report["accuracy"]
    assert abs(accuracy["float"] - accuracy["quantized"]) <= 0.1
    assert "on the host, after the chip" in (result.folder / "report.html").read_text()


@pytest.mark.medium
def test_outputs_are_what_the_user_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("END", "self.dense(x.flatten(1))"))
    words = ["sim", "--model", "net.py:build", "--sim", "golden", "--images", "1"]
    assert main([*words, "--accuracy-images", "5", "--outputs", "values"]) == 0
    assert "outputs      values: a scale that clips none of them" in capsys.readouterr().out
    (folder,) = (path for path in (tmp_path / "sim_build").iterdir() if path.is_dir())
    assert folder.name.endswith("-outputs.values")
