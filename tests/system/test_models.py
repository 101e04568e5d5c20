# SPDX-License-Identifier: Apache-2.0
"""The zoo end to end: detectors, residual networks, networks that nobody has trained."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from stemcore.compiler.stages import affordable
from stemcore.models.checkpoint import checkpoint_path
from stemcore.models.data import DEFAULT_DATASETS
from stemcore.models.data.boxes import NO_OBJECT
from stemcore.models.detection import intersection_over_union
from stemcore.models.errors import DataError, ModelError
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.registry import MODELS
from stemcore.runtime.check import check_all
from stemcore.runtime.commands.main import main
from stemcore.runtime.load_model import load_model
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.names import output_folder
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate

USER_DETECTOR = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.ReLU(), nn.Conv2d(8, {}, 1))

net.input_shape = (3, 48, 48)
net.input_range = "signed"
"""


@pytest.fixture(scope="module")
def detector():
    """tiny_yolo on its own data set, golden alone: result and settings."""
    settings = Settings("tiny_yolo")
    return simulate(settings, n_images=3, engine="golden", accuracy_images=60), settings


@pytest.mark.slow
def test_detector_reports_map_and_keeps_it_when_quantized(detector):
    result, settings = detector
    report = json.loads((result.folder / "report.json").read_text())
    assert result.folder == output_folder(settings)
    assert (report["dataset"], report["metric"]) == ("digit_boxes", "mAP@0.5")
    assert report["weights"] == "trained"
    assert report["bit_exact"]["torch_golden"] is True
    assert report["accuracy"]["images"] == 60
    assert report["accuracy"]["quantized"] >= 0.97
    assert abs(report["accuracy"]["float"] - report["accuracy"]["quantized"]) <= 0.005


@pytest.mark.slow
def test_detections_of_the_report_are_the_objects(detector):
    """What is drawn and written down matches the truth, object by object."""
    result, settings = detector
    truth = prepare(settings, n_train=16, n_test=3).dataset
    assert len(result.report["detections"]) == 3
    for i, row in enumerate(result.report["detections"]):
        with Image.open(result.folder / row["picture"]) as picture:
            assert picture.size == (448, 448)
        real = truth.test_objects.classes[i] != NO_OBJECT
        boxes, labels = truth.test_objects.boxes[i][real], truth.test_objects.classes[i][real]
        for box, label in zip(boxes, labels, strict=True):
            same = [
                one["box"] for one in row["objects"] if one["class"] == truth.class_names[label]
            ]
            assert same
            assert intersection_over_union(box, np.array(same)).max() > 0.5


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny_yolo", "resnet18_cifar"])
def test_whole_networks_run_exactly_on_the_gateware(model):
    result = simulate(Settings(model), n_images=1, accuracy_images=8)
    assert result.differences == ()
    assert result.report["bit_exact"]["golden_rtl"] is True
    assert result.report["accuracy"]["rtl"] is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(checkpoint_path("a", "b").parent.glob("*.safetensors"))
        if not MODELS[path.stem.rpartition("-")[0]].relu_model
    ],
    ids=lambda path: path.stem,
)
def test_every_trained_network_keeps_its_figure_when_quantized(path):
    model, _, dataset = path.stem.rpartition("-")
    settings = Settings(model, dataset)
    try:
        figures = check_all(settings, n_images=300)
    except DataError as error:
        pytest.skip(str(error))
    assert figures["weights"] == "trained"
    # Points of a percent on 300 images: one image is a third of a point.
    assert figures["quantized"] >= figures["float"] - 0.01


@pytest.mark.slow
def test_network_without_weights_says_so(capsys):
    assert not checkpoint_path("tiny_vgg_12m", "digits").exists()
    words = "sim --model tiny_vgg_12m --sim golden --images 1 --accuracy-images 2"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert f"weights      {RANDOM}; nobody trained this network on digits" in said
    report = json.loads((output_folder(Settings("tiny_vgg_12m")) / "report.json").read_text())
    assert report["weights"] == RANDOM
    # Batch norm is folded: a bias for each channel takes the place of its two parameters.
    assert report["parameters"] == 12_026_922 - (32 + 64 + 2 * (128 + 256 + 512))
    assert 150e6 < report["macs_per_image"] < 199_638_016
    assert report["bit_exact"]["torch_golden"] is True


def test_network_with_weights_is_never_random(monkeypatch, tmp_path):
    monkeypatch.setattr("stemcore.models.checkpoint.FOLDER", tmp_path)
    path = checkpoint_path("digits_cnn", "digits")
    assert load_model(Settings("digits_cnn")).weights == RANDOM
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"^digits_cnn-digits\.safetensors: must be a safetensors"):
        load_model(Settings("digits_cnn"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cifar10net", "resnet18", "resnet34", "yolo_resnet34", "vgg16"])
def test_large_networks_run_in_golden(model):
    result = simulate(Settings(model), n_images=1, engine="golden", accuracy_images=1)
    assert result.differences == ()
    assert result.report["bit_exact"]["torch_golden"] is True


def test_settings_choose_the_models_own_data(tmp_path):
    assert Settings("tiny_yolo").dataset == "digit_boxes"
    assert Settings("vgg16").dataset == "digits"
    for split in ("train", "val"):
        (tmp_path / "set" / split / "cat").mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "set" / split / "cat" / "a.png")
    settings = Settings("resnet18", str(tmp_path / "set"))
    assert (settings.dataset, settings.data) == ("imagenet", tmp_path / "set")
    with pytest.raises(ModelError, match=r"^resnet18: needs images with one label each"):
        load_model(Settings("resnet18", "digit_boxes"))


@pytest.mark.parametrize(
    ("model", "n_classes"),
    [pytest.param("resnet18_cifar", 3, marks=pytest.mark.slow), ("tiny_vgg", 2)],
)
def test_outputs_follow_a_folder_of_classes(tmp_path, rng, model, n_classes):
    """A user's own pictures in ImageNet layout, on a network that has no weights for them."""
    for split in ("train", "val"):
        for label in range(n_classes):
            folder = tmp_path / "mine" / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(3):
                Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(
                    folder / f"{i}.png"
                )
    settings = Settings(model, str(tmp_path / "mine"))
    result = simulate(settings, n_images=1, engine="golden")
    assert result.report["weights"] == RANDOM
    assert prepare(settings).network.output.shape == (n_classes, 1, 1)


def test_users_detector_runs_and_another_shape_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_DETECTOR.format(20))
    settings = Settings(f"{path}:net", "digit_boxes")
    torch.manual_seed(0)
    result = simulate(settings, n_images=2, engine="program", accuracy_images=4)
    assert result.differences == ()
    assert result.report["metric"] == "mAP@0.5"
    assert len(result.report["detections"]) == 2
    path.write_text(USER_DETECTOR.format(21))
    with pytest.raises(
        ModelError,
        match=r"^.*mine\.py:net: on digit_boxes the output must have "
        r"the shape \(20, rows, columns\) .*; \(21, 6, 6\) came",
    ):
        simulate(settings, n_images=1, engine="golden")


def test_work_bounds_the_images():
    assert affordable(512, 250e9, 76_000_000, 16) == 512
    assert affordable(512, 250e9, 15_500_000_000, 16) == 16
    assert affordable(1000, 100e9, 1_800_000_000, 1) == 55
    assert affordable(32, 60e9, 0, 2) == 32


def test_every_model_has_data_that_needs_no_download():
    assert {spec.default_dataset for spec in MODELS.values()} == set(DEFAULT_DATASETS.values()) | {
        "tones"
    }
