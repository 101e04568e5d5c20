# SPDX-License-Identifier: Apache-2.0
"""A run's input map: asked for, stated, found by trying; never guessed in silence."""

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.errors import CompileError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.input_map import SIGNED
from stemcore.models.data import Dataset
from stemcore.runtime.commands.main import main
from stemcore.runtime.input_choice import choose_map, stated_map
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.accuracy import float_outputs
from stemcore.runtime.report.names import run_name
from stemcore.runtime.settings import Settings

MODEL = """
import torch


def build():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    module.input_shape = (1, 8, 8)
    return module


def said():
    module = build()
    module.input_range = (0, 1)
    return module
"""


class Brightness(nn.Module):
    """Tells dark, middle and bright images apart, by the mean of what it sees of them."""

    def __init__(self, dark, bright):
        super().__init__()
        self.dark, self.bright = dark, bright

    def forward(self, x):
        place = (x.mean((1, 2, 3)) - self.dark) / (self.bright - self.dark)
        return -(place[:, None] - torch.tensor([0.0, 0.5, 1.0])).abs()


def tried(module, dataset):
    """What a run tries maps with."""
    return lambda meant: float_outputs(module, dataset.train_images, meant)


def shades(n=60, n_classes=3):
    rng = np.random.default_rng(3)
    labels = np.arange(n) % n_classes
    images = np.clip(rng.normal((40, 128, 215), 8, (n // 3, 3)).reshape(n, 1, 1, 1), 0, 255)
    images = np.broadcast_to(images, (n, 1, 4, 4)).astype(np.uint8)
    names = tuple("abcdef"[:n_classes])
    return Dataset("shades", images, labels, images[:0], labels[:0], names, "made")


@pytest.mark.parametrize(
    ("dark", "bright", "name"), [(0.15, 0.85, "unit"), (-0.7, 0.7, "signed"), (38.0, 217.0, "u8")]
)
def test_auto_finds_what_the_network_was_made_for(dark, bright, name):
    said = []
    found = choose_map(tried(Brightness(dark, bright), shades()), shades(), said.append)
    assert found.name == name
    (line,) = said
    assert line.startswith(f"input        {name} by auto: of 60 training images right: unit ")
    assert "u8 " in line


def test_auto_refuses_what_it_cannot_tell():
    net, six = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), shades(n_classes=6)
    with pytest.raises(
        CompileError, match=r"^INPUT=auto: .*no usual input does better than chance"
    ):
        choose_map(tried(net, blank()), blank(), lambda line: None)
    with pytest.raises(CompileError, match=r"3 outputs for 6 classes; state INPUT yourself"):
        choose_map(tried(Brightness(0, 1), six), six, lambda line: None)


def blank():
    """All images alike: nobody can tell the classes."""
    images, labels = np.full((30, 1, 4, 4), 90, np.uint8), np.arange(30) % 3
    return Dataset("blank", images, labels, images[:0], labels[:0], tuple("abc"), "made")


def test_what_is_asked_for_goes_before_what_is_stated():
    graph = capture(nn.Conv2d(1, 2, 3).eval(), (1, 4, 4))
    assert stated_map("", "signed", graph) == SIGNED
    assert stated_map("unit", "signed", graph).name == "unit"
    assert stated_map("auto", "signed", graph) is None
    with pytest.raises(CompileError, match=r"^INPUT: must say .* on labelled images$"):
        stated_map("", "", graph)
    with pytest.raises(CompileError, match=r"^INPUT: must have one mean .* 1 channels, has 3"):
        stated_map("0,0,0,1,1,1", "", graph)


class Inside(nn.Module):
    """Normalizes by itself."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.conv((x - 0.5) / 0.25)


def test_a_network_that_normalizes_by_itself_is_told_so():
    graph = capture(Inside().eval(), (1, 4, 4))
    with pytest.raises(CompileError, match=r"begins with a normalization of its own, .* take unit"):
        stated_map("", "", graph)


def test_a_model_that_says_nothing_is_refused_in_one_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    assert main(["sim", "--model", "net.py:build", "--sim", "golden", "--images", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith(
        "error: INPUT: must say what a byte of an image"
    )


@pytest.mark.medium
def test_maps_reach_the_integers_and_the_float_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(MODEL)
    said = []
    done = prepare(Settings("net.py:said"), n_train=20, n_test=5, say=said.append)
    np.testing.assert_array_equal(done.integers, done.dataset.test_images)
    assert said == [f"input        {done.input_map.describe()}"]
    said.clear()
    other = prepare(Settings("net.py:said", input="signed"), n_train=20, n_test=5, say=said.append)
    assert other.input_map == SIGNED
    assert said[0].endswith("(asked for; the model states 0.0..1.0)")


def test_runs_of_other_inputs_have_other_folders():
    names = [
        run_name(Settings("digits_cnn", input=text))
        for text in ("", "unit", "0..1", "-1..1", "0,1")
    ]
    assert names[:2] == ["digits_cnn-digits", "digits_cnn-digits-input.unit"]
    assert len(set(names)) == 5
    assert all(name.count("-") <= 2 for name in names)


class OfShades(nn.Module):
    """A convolution, ReLU and a dense layer that tell three shades apart in their own range."""

    def __init__(self, middle, width):
        super().__init__()
        self.spot, self.last = nn.Conv2d(1, 2, 4), nn.Linear(2, 3)
        with torch.no_grad():
            self.spot.weight[0], self.spot.weight[1] = 1 / 16 / width, -1 / 16 / width
            self.spot.bias.copy_(torch.tensor([-middle / width, middle / width]))
            self.last.weight.copy_(torch.tensor([[-1.0, 1.0], [-0.5, -0.5], [1.0, -1.0]]))
            self.last.bias.copy_(torch.tensor([0.0, 0.5, 0.0]))

    def forward(self, x):
        return self.last(torch.relu(self.spot(x)).flatten(1))


@pytest.mark.parametrize(
    ("middle", "width", "name"), [(0.5, 0.35, "unit"), (0.0, 0.7, "signed"), (128.0, 90.0, "u8")]
)
def test_one_call_tries_inputs_as_the_commands_do(middle, width, name, caplog):
    images, labels = shades().train_images, shades().train_labels
    module = OfShades(middle, width).eval()
    compiled = stemcore.compile(
        module, calibration=images, labels=labels, input="auto", stop="quantize"
    )
    assert compiled.compilation.options.input_map.name == name
    assert f"input {name} by auto: of 60 training images right: unit " in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, r"^input: 'auto' is tried on uint8 bytes .* got no labels; pass both"),
        ({"calibration": np.zeros((60, 1, 4, 4))}, r"^input: 'auto' is tried .* got float64; pass"),
        ({"labels": np.zeros(59, int)}, r"^labels: must be 60 integers 0\.\.2, .* shape \(59,\)$"),
        ({"labels": np.arange(60)}, r"^labels: must be 60 integers 0\.\.2, .*, 0\.\.59$"),
        ({"labels": np.zeros(60)}, r"^labels: must be 60 integers 0\.\.2, .* got float64"),
        ({"input": "unit"}, r"^labels: are for input='auto' alone; leave them out$"),
    ],
)
def test_one_call_asks_for_what_auto_needs(changes, message):
    options = {"calibration": shades().train_images, "labels": shades().train_labels}
    with pytest.raises(ValueError, match=message):
        stemcore.compile(OfShades(0.5, 0.35).eval(), **{"input": "auto", **options, **changes})
