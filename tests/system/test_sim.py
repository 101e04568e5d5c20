# SPDX-License-Identifier: Apache-2.0
"""`make sim` end to end: a trained model, real images, every engine, the report."""

import json

import pytest

from stemcore.runtime.check import check_all
from stemcore.runtime.commands.main import main
from stemcore.runtime.report.names import output_folder
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate

USER_MODEL = """
import torch


def net():
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3, stride=2, padding=1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(6 * 2 * 2, 10),
    )
    module.input_shape = (1, 8, 8)
    module.input_range = "signed"
    return module
"""
REPORT_KEYS = {
    "model",
    "dataset",
    "images",
    "bit_exact",
    "accuracy",
    "cycles_per_image",
    "sops_per_image",
    "macs_per_image",
    "lane_utilisation",
    "cores",
    "mesh",
    "neurons",
    "parameters",
    "spikes_per_image",
    "energy_pj_per_image",
    "simulation",
    "layers",
}


@pytest.mark.sim
@pytest.mark.slow
def test_sim_of_digits_cnn_is_exact_and_reports(capsys):
    assert main(["sim", "--model", "digits_cnn"]) == 0
    text = capsys.readouterr().out
    report = json.loads((output_folder(Settings("digits_cnn")) / "report.json").read_text())
    assert report.keys() >= REPORT_KEYS
    assert report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": True,
    }
    assert report["images"] == 4
    assert report["accuracy"]["quantized"] >= 0.97
    assert report["accuracy"]["float"] - report["accuracy"]["quantized"] <= 0.005
    assert report["sops_per_image"] == sum(layer["sops"] for layer in report["layers"])
    assert report["cycles_per_image"]["interval"] < report["cycles_per_image"]["latency"]
    for layer in report["layers"]:
        assert layer["name"] in text
        assert 0 < layer["utilisation"] <= 1


@pytest.mark.sim
@pytest.mark.slow
def test_sim_of_digits_cnn_on_two_cores_is_exact_and_says_what_it_costs(capsys):
    """Every spike of every layer, and every counter, with cores that take turns."""
    words = ["sim", "--model", "digits_cnn", "--images", "2", "--accuracy-images", "2"]
    assert main([*words, "--cores-on-chip", "2"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    report = json.loads((output_folder(Settings("digits_cnn")) / "report.json").read_text())
    assert set(report["bit_exact"].values()) == {True}
    turns = report["virtual_cores"]
    assert turns["cores_on_chip"] == report["settings"]["cores_on_chip"] == 2
    assert sum(group["cores"] for group in turns["groups"]) == report["cores"] > 2
    assert "2 cores at a time on 2 x 1 nodes" in text
    measured = report["cycles_per_image"]
    assert measured["interval"] == pytest.approx(turns["load_cycles"] + turns["compute_cycles"])
    assert measured["estimated_interval"] == pytest.approx(measured["interval"], rel=0.15)
    assert report["estimate"]["virtual"]["flits_in"] == pytest.approx(turns["flits_in"])
    assert report["estimate"]["virtual"]["flits_out"] == pytest.approx(turns["flits_out"])


@pytest.mark.sim
@pytest.mark.slow
def test_tiny_vgg_keeps_its_lanes_busy_as_estimated():
    result = simulate(Settings("tiny_vgg"), n_images=8, accuracy_images=50)
    assert result.differences == ()
    assert result.report["bit_exact"]["golden_rtl"] is True
    filled = [
        layer
        for layer in result.report["layers"]
        if layer["shape"][0] % 32 == 0 and layer["shape"][1] > 1 and layer["macs"] > 2e6
    ]
    assert len(filled) >= 5
    for layer in filled:
        assert layer["utilisation"] >= 0.95, layer["name"]
    cycles = result.report["cycles_per_image"]
    assert cycles["interval"] <= 1.1 * cycles["busiest_core"]
    assert result.report["steady_lane_utilisation"] >= 0.9
    assert cycles["estimated_interval"] == pytest.approx(cycles["interval"], rel=0.01)


@pytest.mark.sim
@pytest.mark.slow
def test_layers_work_at_the_same_time_where_tokens_stand_for_time_steps():
    settings = Settings("tiny_vgg", integration="late")
    result = simulate(settings, n_images=2, accuracy_images=20)
    assert result.report["bit_exact"]["golden_rtl"] is True
    cycles = result.report["cycles_per_image"]
    assert cycles["interval"] <= 1.1 * cycles["busiest_core"]
    assert cycles["estimated_interval"] == pytest.approx(cycles["interval"], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits_cnn", "tiny_vgg"])
def test_torch_equals_golden_on_the_whole_digits_test_set(model):
    figures = check_all(Settings(model))
    assert figures["images"] == 360
    assert figures["quantized"] >= 0.98
    assert abs(figures["float"] - figures["quantized"]) <= 0.005


@pytest.mark.parametrize("profile", ["exact", "general", "paper"])
@pytest.mark.parametrize("bits", [4, 8])
def test_users_model_compiles_and_is_exact(tmp_path, profile, bits):
    path = tmp_path / "mine.py"
    path.write_text(USER_MODEL)
    settings = Settings(f"{path}:net", profile=profile, bits=bits)
    result = simulate(settings, n_images=3, engine="program", accuracy_images=20)
    assert result.differences == ()
    assert result.report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": None,
    }


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["verilator", "amaranth"])
def test_users_model_runs_exactly_on_the_gateware(tmp_path, engine):
    path = tmp_path / "mine.py"
    path.write_text(USER_MODEL)
    settings = Settings(f"{path}:net", profile="general", preset="tiny")
    result = simulate(settings, n_images=2, engine=engine, accuracy_images=20)
    assert result.report["bit_exact"]["golden_rtl"] is True


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("integration", ["exact", "late"])
@pytest.mark.parametrize("name", ["fire", "dense block"])
def test_joined_channels_run_exactly_on_the_gateware(tmp_path, name, integration):
    path = tmp_path / "mine.py"
    path.write_text(
        "from tests.support.torch_nets import build\n\n\n"
        "def net():\n"
        f"    module, module.input_shape = build({name!r})\n"
        "    module.input_range = 'signed'\n"
        "    return module\n"
    )
    settings = Settings(f"{path}:net", integration=integration)
    said = []
    result = simulate(settings, n_images=2, accuracy_images=20, say=said.append)
    assert result.differences == ()
    assert result.report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": True,
    }
    n_outputs = {"fire": 4, "dense block": 36}[name]
    assert (
        f"outputs      {n_outputs} for 10 classes of digits: in place of an accuracy, the share of "
        "images whose largest output is the float network's"
    ) in said
