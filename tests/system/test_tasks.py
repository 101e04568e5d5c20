# SPDX-License-Identifier: Apache-2.0
"""Networks of the zoo for other tasks than small pictures, end to end on the compiled gateware."""

import numpy as np
import pytest
import torch

from stemcore import compile
from stemcore.models.data import load_dataset, to_float_input
from stemcore.models.errors import ModelError
from stemcore.models.registry import get_model
from stemcore.models.segmentation import mean_iou, segment
from stemcore.runtime.commands.main import main
from stemcore.runtime.load_model import load_model
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate

MLPERF_TINY = ("resnet8", "ds_cnn", "mobilenet_v1_quarter", "deep_autoencoder")
PAGE = "report.html"
EQUAL = {"torch_golden": True, "golden_program": True, "golden_rtl": True}


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("model", MLPERF_TINY)
def test_networks_of_mlperf_tiny_run_exactly_on_the_gateware(model):
    result = simulate(Settings(model), n_images=1, accuracy_images=4)
    assert result.differences == ()
    assert result.report["bit_exact"] == EQUAL


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "dataset", "metric", "least"),
    [
        ("audio_cnn", "tones", "accuracy", 0.95),
        ("lenet5", "digits", "accuracy", 0.95),
        ("unet", "shapes", "mIoU", 0.7),
        ("unet_upsampling", "shapes", "mIoU", 0.7),
    ],
)
def test_trained_networks_run_exactly_and_are_right(model, dataset, metric, least):
    result = simulate(Settings(model, dataset), n_images=1, accuracy_images=60)
    report = result.report
    assert result.differences == ()
    assert report["bit_exact"] == EQUAL
    assert (report["weights"], report["metric"]) == ("trained", metric)
    assert report["accuracy"]["float"] >= report["accuracy"]["quantized"] - 0.02 >= least - 0.02
    assert (result.folder / PAGE).is_file()


@pytest.mark.slow
def test_page_of_a_segmentation_shows_masks_beside_images():
    result = simulate(Settings("unet"), n_images=3, engine="golden", accuracy_images=3)
    page = (result.folder / PAGE).read_text()
    assert page.count("of the pixels right</figcaption>") == 3
    assert "ground, disc, square, triangle" in page


@pytest.mark.slow
def test_measured_figure_is_that_of_the_masks():
    """mIoU of the report, from the network's own outputs once again."""
    report = simulate(Settings("unet"), n_images=2, engine="golden", accuracy_images=20).report
    data = load_dataset("shapes", (1, 32, 32), n_train=0, n_test=20)
    module = load_model(Settings("unet")).module
    with torch.no_grad():
        found = segment(module(to_float_input(data.test_images)).numpy())
    assert report["accuracy"]["float"] == mean_iou(found, data.test_masks, 4)


@pytest.mark.slow
def test_sounds_as_their_users_have_them_compile():
    """(1, 16000) floats, without the row that pictures have."""
    data = load_dataset("tones", (1, 1, 16000), n_train=8, n_test=16)
    sounds = data.test_images[:, :, 0]
    module = load_model(Settings("audio_cnn")).module
    compiled = compile(
        module,
        calibration=to_float_input(data.train_images[:, :, 0]),
        input="signed",
        outputs="classes",
    )
    assert compiled.compilation.graph.input_shape == (1, 1, 16000)
    result = compiled.run(sounds[:2], engine="program")
    assert result.bit_exact is True
    assert compiled.run(sounds, engine="golden").accuracy(data.test_labels) >= 0.9


def test_lenet_ends_in_a_softmax_and_trains_on_its_logarithm():
    module = get_model("lenet5").build()
    x = torch.randn(3, 1, 32, 32)
    np.testing.assert_allclose(module.eval()(x).sum(1).detach(), 1, rtol=1e-5)
    trained = module.train()(x)
    np.testing.assert_allclose(trained.exp().sum(1).detach(), 1, rtol=1e-5)
    assert module.layers[4].weight.shape == (16, 6, 5, 5)
    # 60 of 96 pairs of maps are connected, as in the publication.
    assert int(module.layers[4].get_buffer("mask").sum()) == 60


def test_a_model_of_another_shape_is_refused_for_masks(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from torch import nn\n\ndef net():\n    return nn.Conv2d(1, 3, 1)\n\n"
        "net.input_shape = (1, 32, 32)\nnet.input_range = 'signed'\n"
    )
    with pytest.raises(
        ModelError, match=r"on shapes the output must have the shape \(4, .*; \(3, 32, 32\) came"
    ):
        load_model(Settings(f"{path}:net", "shapes"))


def test_tables_are_not_searched_for_masks(capsys):
    assert main(["sparsify", "--model", "unet"]) == 2
    assert "shapes: must have images with one label each" in capsys.readouterr().err


def test_an_autoencoder_is_not_trained_on_labels(capsys):
    assert main(["train", "--model", "deep_autoencoder", "--epochs", "1"]) == 2
    assert "values came, which labels say nothing of" in capsys.readouterr().err
