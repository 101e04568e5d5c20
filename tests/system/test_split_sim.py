# SPDX-License-Identifier: Apache-2.0
"""`make sim` of a model with a dense layer too wide for a core: torch to gateware."""

import pytest

from stemcore.compiler.mapping.split import part_name
from stemcore.golden.spec.presets import PRESETS
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from tests.support.split_networks import NARROW

WIDE_MODEL = """
import torch


def net():
    torch.manual_seed(5)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(16 * 2 * 2, 10),
    )
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module
"""
FEW_WORDS = NARROW.with_(n_weight_words=48)


def run(tmp_path, monkeypatch, engine, profile):
    path = tmp_path / "wide.py"
    path.write_text(WIDE_MODEL)
    monkeypatch.setitem(PRESETS, "few_words", FEW_WORDS)
    settings = Settings(f"{path}:net", preset="few_words", profile=profile)
    return simulate(settings, n_images=3, engine=engine, accuracy_images=20)


@pytest.mark.parametrize("profile", ["exact", "general", "paper"])
def test_split_layers_are_exact_in_all_profiles(tmp_path, monkeypatch, profile):
    result = run(tmp_path, monkeypatch, "program", profile)
    assert result.differences == ()
    assert result.report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": None,
    }
    assert result.report["parameters"] == 8 * 9 + 8 + 16 * 8 * 9 + 16 + 640 + 10


@pytest.mark.sim
@pytest.mark.slow
def test_split_layers_are_exact_on_the_gateware(tmp_path, monkeypatch):
    report = run(tmp_path, monkeypatch, "verilator", "exact").report
    assert report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": True,
    }
    assert not report["overflow"]
    names = {layer["name"] for layer in report["layers"]}
    split = {name.rpartition(".")[0] for name in names if name.endswith(part_name("", 1))}
    assert split and split < names
    assert {part_name(name, 2) for name in split} < names
