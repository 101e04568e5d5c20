# SPDX-License-Identifier: Apache-2.0
"""Sounds, vectors and pictures without labels go all the way; what is measured has a meaning."""

import json

import numpy as np
import pytest
from PIL import Image

from stemcore.compiler.errors import CompileError
from stemcore.runtime.commands.main import main
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.fidelity import measure_fidelity
from stemcore.runtime.report.schema import checked
from stemcore.runtime.report.screen import summary
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from stemcore.runtime.sparsify.search import sparsify
from tests.support.reports import golden_report

NETS = """
import torch
from torch import nn


def _net(shape, *layers):
    torch.manual_seed(0)
    net = nn.Sequential(*layers).eval()
    net.input_shape = shape
    return net


def sound():
    flat = nn.Flatten(), nn.Linear(8 * 14, 4)
    return _net((2, 64), nn.Conv1d(2, 8, 9, stride=4), nn.ReLU(), *flat)


def vector():
    return _net((30,), nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 3))


def picture():
    net = _net((1, 6, 6), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    net.input_mean, net.input_std = 0.5, 0.25
    return net
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def said_by(settings, **options):
    said = []
    result = simulate(settings, engine="program", say=said.append, **options)
    assert result.differences == ()
    return result, said


@pytest.mark.medium
def test_sounds_without_labels(folder, rng):
    x = rng.normal(0, 2, (20, 2, 64))
    np.savez("sounds.npz", x_train=x, x_test=x[:7])
    result, said = said_by(Settings("nets.py:sound", "sounds.npz"), n_images=2)
    report = result.report
    assert (report["metric"], report["accuracy"]["float"]) == ("agreement", 1)
    assert report["accuracy"]["images"] == 7
    low, high = x.astype(np.float32).min(), x.astype(np.float32).max()
    assert f"input        floats {low:.6g}..{high:.6g}: one code is worth" in "\n".join(said)
    assert "outputs      4 for no labels of sounds.npz: in place of an accuracy" in "\n".join(said)
    ratios = report["fidelity"]["sqnr_db"]
    assert list(ratios) == ["input", *(layer["name"] for layer in report["layers"])]
    assert min(ratios.values()) > 25
    text = summary(report)
    assert text.startswith("agreement    with the float network: quantized ")
    assert f"SQNR         input {ratios['input']:.1f} dB, 0 {ratios['0']:.1f} dB" in text
    # The same samples from the folder of the run, by the map that was kept.
    words = ["run", str(result.folder), "--images", "sounds.npz", "--engine", "program"]
    assert main(words) == 0
    np.savez("loud.npz", images=np.full((1, 2, 64), 1e3))
    assert main([*words[:2], "--images", "loud.npz", "--engine", "program"]) == 2


def test_vectors_with_labels(folder, rng):
    x, y = rng.normal(0, 1, (30, 30)).astype(np.float32), np.arange(30) % 3
    names = np.array(["a", "b", "c"])
    np.savez("v.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
    prepared = prepare(Settings("nets.py:vector", "v.npz"))
    assert prepared.dataset.metric == "accuracy"
    assert prepared.dataset.class_names == tuple(names)
    outputs = prepared.float_outputs(30)
    assert outputs.shape == (30, 3)
    found = measure_fidelity(prepared)
    assert found["images"] == 30
    assert found["agreement"] > 0.8
    # The measure itself: noise of the input against its own values.
    real = prepared.input_map.real_of_codes(prepared.integers).reshape(30, 30)
    expected = 10 * np.log10((x.astype(float) ** 2).sum() / ((real - x) ** 2).sum())
    np.testing.assert_allclose(found["sqnr_db"]["input"], expected, rtol=1e-6)


@pytest.mark.medium
def test_pictures_without_labels(folder, rng):
    (folder / "flat").mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).save(folder / f"flat/{i}.png")
    result, said = said_by(Settings("nets.py:picture", "flat"), n_images=2)
    assert "data         calibrated and tested on the same pictures: there are no others" in said
    assert result.report["metric"] == "agreement"
    page = (result.folder / "report.html").read_text()
    assert "as the float network" in page
    kept = json.loads((result.folder / "report.json").read_text())
    assert kept["settings"]["input"].startswith("0.5")
    with pytest.raises(CompileError, match=r"^flat: must have a label for each image, of as many"):
        sparsify(Settings("nets.py:picture", "flat"), budget=1, schemes=("rd",))


def test_stated_ranges_hold_for_floats(folder, rng):
    x = rng.uniform(-2, 2, (8, 30))
    np.savez("v.npz", x=x)
    done = prepare(Settings("nets.py:vector", "v.npz", input="-4..4"))
    assert done.input_map.name == "-4..4"
    assert np.abs(done.integers).max() < 70
    with pytest.raises(ValueError, match=r"^x_train: floats must lie in 0\.\.1, .* came; say the"):
        prepare(Settings("nets.py:vector", "v.npz", input="unit"))


def test_bytes_without_a_meaning_are_refused_before_the_network_is_fitted(folder, monkeypatch):
    def fitted(*_, **__):
        raise AssertionError("too late")

    monkeypatch.setattr("stemcore.runtime.prepare.find_fit", fitted)
    np.savez("bytes.npz", x=np.zeros((4, 30), np.uint8))
    with pytest.raises(CompileError, match=r"^INPUT: must say what a byte"):
        prepare(Settings("nets.py:vector", "bytes.npz"))
    np.savez("floats.npz", x=np.zeros((4, 30)))
    with pytest.raises(AssertionError, match="too late"):
        prepare(Settings("nets.py:vector", "floats.npz"))


@pytest.mark.medium
def test_labels_that_do_not_fit_are_not_measured_against(folder):
    said = []
    done = prepare(Settings("nets.py:picture"), n_train=20, n_test=10, say=said.append)
    assert done.dataset.metric == "agreement"
    assert "outputs      5 for 10 classes of digits: in place of an accuracy" in "\n".join(said)
    assert "data         pictures of 8 x 8 resized to 6 x 6" in said
    assert done.dataset.test_labels.max() < 5


def test_fidelity_on_the_screen():
    ratios = {"input": None, "conv1": 31.25, "fc": 24.0}
    fidelity = {"images": 64, "agreement": 0.98, "sqnr_db": ratios}
    report = checked(golden_report(fidelity=fidelity))
    assert "SQNR         output 24.0 dB, least 24.0 dB (fc); float against" in summary(report)
    nothing = dict.fromkeys(ratios)
    report = checked(golden_report(fidelity={**fidelity, "sqnr_db": nothing}))
    assert "SQNR         no noise; float against quantized on 64 images" in summary(report)
