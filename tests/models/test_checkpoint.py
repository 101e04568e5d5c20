# SPDX-License-Identifier: Apache-2.0
"""Weight files: round trip, refusals, and the accuracy that the committed ones promise."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from stemcore.models.checkpoint import (
    FOLDER,
    LIST,
    checkpoint_path,
    find_checkpoint,
    load_checkpoint,
    load_into,
    load_matching,
    own_checkpoint_path,
    read_checkpoint,
    round_for_file,
    save_checkpoint,
)
from stemcore.models.data import find_data, load_dataset
from stemcore.models.errors import CheckpointError, DataError
from stemcore.models.registry import get_model
from stemcore.models.tasks import measure_accuracy, measure_map

METADATA = {"model": "digits_cnn", "dataset": "digits"}


@pytest.fixture
def module():
    return get_model("digits_cnn").build()


def test_file_keeps_what_it_says(tmp_path, module):
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, module.state_dict(), METADATA | {"epochs": 3})
    state, metadata = read_checkpoint(path)
    assert metadata == METADATA | {"epochs": 3}
    for name, tensor in round_for_file(module.state_dict()).items():
        assert tensor.dtype == (torch.float16 if tensor.ndim > 1 else torch.float32)
        assert torch.equal(state[name], tensor.float())
    other = get_model("digits_cnn").build()
    load_into(other, path, "digits_cnn")
    assert torch.equal(other.layers[0].weight, module.layers[0].weight.half().float())
    assert [item.name for item in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_save_refuses_what_float16_cannot_hold(tmp_path, module, value):
    state = module.state_dict()
    state["layers.0.weight"][0, 0, 0, 0] = value
    with pytest.raises(
        CheckpointError,
        match=r"^layers\.0\.weight: every weight must be finite in "
        r"torch\.float16; NaN, infinity or an overflow came",
    ):
        save_checkpoint(tmp_path / "weights.safetensors", state, METADATA)
    assert not list(tmp_path.iterdir())


def test_missing_file_tells_the_command():
    with pytest.raises(
        CheckpointError,
        match=r"^tiny_vgg_12m-digits\.safetensors: the weight file "
        r"must exist; nothing is at .*; run 'stemcore train --model tiny_vgg_12m "
        r"--dataset digits' \(make train\)$",
    ):
        load_checkpoint("tiny_vgg_12m", "digits")


def test_damaged_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"12345678 nothing of the kind")
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: must be a safetensors file "
        r"with JSON metadata; reading it gave",
    ):
        read_checkpoint(path)
    save_file({"a": torch.zeros(2)}, path, metadata={"model": "not JSON"})
    with pytest.raises(CheckpointError, match=r"^weights\.safetensors: must be a safetensors file"):
        read_checkpoint(path)
    save_file({"a": torch.zeros(2)}, path, metadata={"model": '"digits_cnn"'})
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: metadata must name model "
        r"and dataset; dataset missing",
    ):
        read_checkpoint(path)


def test_nan_weights_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(
        {"a": torch.tensor([1.0, float("nan")])},
        path,
        metadata={"model": '"digits_cnn"', "dataset": '"digits"'},
    )
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: every weight must be finite;"
        r" tensor 'a' holds NaN or infinity; run 'stemcore",
    ):
        read_checkpoint(path)


def test_weights_of_another_model_are_refused_and_nothing_is_loaded(tmp_path, module):
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, module.state_dict(), METADATA)
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: must hold weights of "
        r"tiny_vgg; those of digits_cnn came; name",
    ):
        load_into(get_model("tiny_vgg").build(), path, "tiny_vgg")

    state = module.state_dict()
    state["layers.9.bias"] = torch.zeros(11)
    save_checkpoint(path, state, METADATA)
    other = get_model("digits_cnn").build()
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: tensor 'layers\.9\.bias' "
        r"must fit the model, \(10,\); \(11,\) came; name",
    ):
        load_into(other, path)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, before[name])

    del state["layers.9.bias"]
    save_checkpoint(path, state, METADATA)
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: tensor 'layers\.9\.bias' "
        r"must fit the model, \(10,\); no such tensor came",
    ):
        load_into(other, path)
    state |= {"layers.9.bias": torch.zeros(10), "extra": torch.zeros(1)}
    save_checkpoint(path, state, METADATA)
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: tensor 'extra' must fit the "
        r"model, no such tensor; \(1,\) came",
    ):
        load_into(other, path)


def test_matching_tensors_are_taken_over_and_the_others_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    backbone, detector = get_model("tiny_yolo_backbone").build(), get_model("tiny_yolo").build()
    save_checkpoint(path, backbone.state_dict(), METADATA)
    before = detector.state_dict()["layers.27.weight"].clone()
    assert load_matching(detector, path) == ["layers.27.bias", "layers.27.weight"]
    for name, tensor in round_for_file(backbone.state_dict()).items():
        if name.startswith("layers."):
            assert torch.equal(detector.state_dict()[name], tensor.float()), name
    assert torch.equal(detector.state_dict()["layers.27.weight"], before)


def test_a_start_without_common_layers_is_refused(tmp_path, module):
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, module.state_dict(), METADATA)
    with pytest.raises(
        CheckpointError,
        match=r"^weights\.safetensors: must share layers with the "
        r"model; no tensor of the same name and shape came",
    ):
        load_matching(get_model("resnet18_cifar").build(), path)


def test_own_weights_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packaged = FOLDER / "digits_cnn-digits.safetensors"
    assert checkpoint_path("digits_cnn", "digits") == packaged
    assert find_checkpoint("digits_cnn", "digits") == packaged
    own = own_checkpoint_path("digits_cnn", "digits")
    assert own == tmp_path / "checkpoints" / packaged.name
    own.parent.mkdir()
    own.write_bytes(b"trained here")
    assert find_checkpoint("digits_cnn", "digits") == checkpoint_path("digits_cnn", "digits") == own


def test_pair_that_nobody_trained_has_no_weights():
    assert find_checkpoint("vgg16", "imagenet") is None


def test_weights_that_an_installation_leaves_out_are_missed(tmp_path, monkeypatch):
    (tmp_path / LIST).write_text((FOLDER / LIST).read_text())
    monkeypatch.setattr("stemcore.models.checkpoint.FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "checkpoints" / "tiny_yolo-voc.safetensors"
    with pytest.raises(
        CheckpointError,
        match=r"^tiny_yolo-voc\.safetensors: the weights of tiny_yolo on voc must be there; this "
        r"installation leaves them out; copy models/checkpoints/tiny_yolo-voc\.safetensors of the "
        rf"project's repository to {own}, name a file with --checkpoint, or run '.*",
    ):
        find_checkpoint("tiny_yolo", "voc")


def test_list_of_weight_files_is_complete():
    lines = [line.split() for line in (FOLDER / LIST).read_text().splitlines()]
    found = {path.name: path.read_bytes() for path in FOLDER.glob("*.safetensors")}
    assert {name: digest for digest, name in lines} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }


def test_renamed_file_is_refused(tmp_path, module, monkeypatch):
    monkeypatch.setattr("stemcore.models.checkpoint.FOLDER", tmp_path)
    save_checkpoint(checkpoint_path("tiny_vgg", "digits"), module.state_dict(), METADATA)
    with pytest.raises(
        CheckpointError,
        match=r"^tiny_vgg-digits\.safetensors: metadata must name "
        r"tiny_vgg on digits; digits_cnn on digits came",
    ):
        load_checkpoint("tiny_vgg", "digits")


@pytest.mark.medium
@pytest.mark.parametrize(
    ("model", "least"), [("digits_cnn", 0.98), ("tiny_vgg", 0.98), ("resnet18_cifar", 0.98)]
)
def test_digits_checkpoint_keeps_its_promise(model, least):
    spec = get_model(model)
    module = spec.build()
    promised = load_into(module, checkpoint_path(model, "digits"), model)
    data = load_dataset("digits", spec.input_shape, n_train=0)
    accuracy = measure_accuracy(module, data.test_images, data.test_labels)
    assert accuracy >= least
    # Another processor may break a near tie of two logits the other way.
    assert abs(accuracy - promised["test_accuracy"]) <= 1 / len(data.test_images)


@pytest.mark.medium
def test_detector_keeps_its_promise():
    spec = get_model("tiny_yolo")
    module = spec.build()
    promised = load_into(module, checkpoint_path("tiny_yolo", "digit_boxes"), "tiny_yolo")
    assert promised["metric"] == "mAP@0.5"
    data = load_dataset("digit_boxes", spec.input_shape, n_train=0, n_test=100)
    found = measure_map(module, data.test_images, data.test_objects, data.n_classes)
    assert found >= 0.98
    assert abs(found - promised["test_accuracy"]) < 0.02


@pytest.mark.medium
def test_files_are_small_and_name_what_they_are():
    paths = sorted(FOLDER.glob("*.safetensors"))
    assert len(paths) >= 6
    for path in paths:
        _, metadata = read_checkpoint(path)
        size = path.stat().st_size
        assert size <= min(6_000_000, 2.2 * metadata["parameters"] + 10_000), path
        assert path.stem == f"{metadata['model']}-{metadata['dataset']}"


@pytest.mark.parametrize("model", ["tiny_vgg", "resnet18_cifar"])
def test_cifar10_checkpoint_keeps_its_promise(model):
    spec = get_model(model)
    module = spec.build()
    promised = load_into(module, checkpoint_path(model, "cifar10"), model)
    assert promised["parameters"] == sum(p.numel() for p in module.parameters())
    try:
        folder = find_data("cifar10")
    except DataError as error:
        pytest.skip(str(error))
    data = load_dataset("cifar10", spec.input_shape, folder, n_train=0, n_test=500)
    accuracy = measure_accuracy(module, data.test_images, data.test_labels)
    # Four standard deviations of 500 draws at 0.9.
    assert abs(accuracy - promised["test_accuracy"]) < 0.055
