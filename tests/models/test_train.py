# SPDX-License-Identifier: Apache-2.0
"""Training: augmentation, the rate's course, resuming, and the command line."""

import dataclasses

import numpy as np
import pytest
import torch

from stemcore.models import train as command
from stemcore.models.augment import PADDING_BYTE, augment
from stemcore.models.checkpoint import read_checkpoint
from stemcore.models.data import DATASETS, load_dataset
from stemcore.models.errors import CheckpointError, DataError, ModelError
from stemcore.models.recipes import RECIPES, Recipe, get_recipe
from stemcore.models.registry import MODELS
from stemcore.models.resume import STATE_FILE
from stemcore.models.trainer import rate_at

TINY = Recipe(epochs=3, batch=256, shift=1, half_precision=False)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder, recipe=TINY, **options):
    return command.train("digits_cnn", "digits", recipe=recipe, state_folder=folder, **options)[0]


def test_augment_moves_and_mirrors_whole_images(rng):
    images = torch.from_numpy(rng.integers(0, 256, (64, 2, 5, 6), np.uint8))
    generator = torch.Generator().manual_seed(1)
    moved = augment(images, 1, True, generator)
    seen = set()
    for image, result in zip(images, moved, strict=True):
        found = []
        for mirrored in (False, True):
            source = image.flip(2) if mirrored else image
            padded = torch.nn.functional.pad(source, (1,) * 4, value=PADDING_BYTE)
            found += [
                (mirrored, y, x)
                for y in range(3)
                for x in range(3)
                if torch.equal(padded[:, y : y + 5, x : x + 6], result)
            ]
        assert len(found) == 1
        seen.update(found)
    assert len(seen) > 12


def test_augment_without_settings_changes_nothing(rng):
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 5, 6), np.uint8))
    assert torch.equal(augment(images, 0, False, torch.Generator()), images)


def test_rate_rises_and_falls():
    recipe = Recipe(epochs=10, peak_rate=0.4, warmup=0.25)
    assert [rate_at(recipe, p) for p in (0, 0.125, 0.25, 1)] == pytest.approx([0, 0.2, 0.4, 0])
    falling = [rate_at(recipe, p) for p in np.linspace(0.25, 1, 20)]
    assert falling == sorted(falling, reverse=True)


def test_rate_rises_and_falls_again_after_a_restart():
    recipe = Recipe(epochs=10, peak_rate=0.4, warmup=0.25, restart_at=6, restart_rate=0.1)
    rates = [rate_at(recipe, epoch / 10) for epoch in (1.5, 5.999, 6, 7, 10)]
    assert rates == pytest.approx([0.4, 0, 0, 0.1, 0], abs=1e-6)


def test_the_spike_penalty_is_not_for_lif_neurons(tmp_path):
    with pytest.raises(
        ModelError,
        match=r"^cifar10net_w16_direct: spike_penalty expects the bits "
        r"of activations; LIF neurons came, .*; train "
        r"cifar10net_w16 with it, or leave it out$",
    ):
        command.train(
            "cifar10net_w16_direct", "digits", recipe=TINY, state_folder=tmp_path, spike_penalty=0.1
        )


def test_recipes_name_what_exists():
    assert {model for model, _ in RECIPES} <= set(MODELS)
    assert {dataset for _, dataset in RECIPES} <= set(DATASETS)
    assert all(get_recipe("tiny_vgg_12m", dataset).epochs > 0 for dataset in DATASETS)
    assert not get_recipe("digits_cnn", "digits").flip
    assert all(
        recipe.restart_at is None or 0 < recipe.restart_at < recipe.epochs
        for recipe in RECIPES.values()
    )


@pytest.mark.parametrize("half_precision", [False, True])
def test_resumed_run_equals_uninterrupted_run(tmp_path, half_precision):
    recipe = dataclasses.replace(TINY, half_precision=half_precision)
    whole = run(tmp_path / "whole", recipe)
    run(tmp_path / "parts", recipe, stop_after=1)
    parts = run(tmp_path / "parts", recipe)
    assert [entry["loss"] for entry in parts.log] == [entry["loss"] for entry in whole.log]
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(parts.module.state_dict()[name], tensor), name
    for name, tensor in whole.momenta.items():
        assert torch.equal(parts.momenta[name], tensor), name


def test_interruption_within_an_epoch_loses_only_that_epoch(tmp_path, monkeypatch):
    def stop(progress, step, n_steps, loss):
        if progress.label == "epoch 2/3" and step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command.Progress, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts")
    parts, whole = run(tmp_path / "parts"), run(tmp_path / "whole")
    assert torch.equal(parts.module.layers[0].weight, whole.module.layers[0].weight)


def test_resume_refuses_other_settings_and_damage(tmp_path):
    run(tmp_path, stop_after=1)
    with pytest.raises(
        CheckpointError,
        match=r"^.*state\.safetensors: an interrupted run must go "
        r"on under its own settings; changed: seed 0 now 1;",
    ):
        run(tmp_path, seed=1)
    (tmp_path / STATE_FILE).write_bytes(b"half a file")
    with pytest.raises(
        CheckpointError,
        match=r"^.*state\.safetensors: must be the state of a "
        r"training run; reading it gave .*; delete it",
    ):
        run(tmp_path)


def test_training_without_training_images_is_refused(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    with pytest.raises(
        DataError,
        match=r"^cifar10: training needs training and test images; 0 and "
        r"1 came; name a folder that holds both",
    ):
        command.train(
            "tiny_vgg", "cifar10", recipe=TINY, folder=tmp_path, state_folder=tmp_path / "state"
        )


def test_command_trains_and_writes_the_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "BUILD_FOLDER", tmp_path / "build")
    out = tmp_path / "weights.safetensors"
    arguments = ["--model", "digits_cnn", "--epochs", "2", "--threads", "1", "--out", str(out)]
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    _, metadata = read_checkpoint(out)
    assert lines[0].startswith("epoch 1/2: loss ")
    assert lines[-1] == (
        f"float test accuracy {100 * metadata['test_accuracy']:.2f} % on 360 images"
    )
    assert metadata["epochs"] == metadata["recipe"]["epochs"] == 2
    assert metadata["parameters"] == 12_266


def test_a_detector_trains_and_names_its_metric(tmp_path, monkeypatch, capsys):
    """A few steps on small canvases: the loss falls, and the file says what was measured."""
    few = load_dataset("digit_boxes", (3, 112, 112), n_train=32, n_test=4)
    monkeypatch.setattr(command, "load_dataset", lambda *_: few)
    monkeypatch.setattr(command, "BUILD_FOLDER", tmp_path / "build")
    out = tmp_path / "weights.safetensors"
    arguments = ["--model", "tiny_yolo", "--epochs", "4", "--threads", "1", "--out", str(out)]
    assert command.main(arguments) == 0
    losses = [
        float(line.split("loss ")[1].split(",")[0])
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("epoch")
    ]
    assert losses[-1] < losses[0]
    _, metadata = read_checkpoint(out)
    assert metadata["metric"] == "mAP@0.5"
    assert metadata["class_names"] == list("0123456789")
    start = ["--start", str(out), "--model", "tiny_yolo_backbone", "--dataset", "voc"]
    assert command.main(start) == 1
    assert capsys.readouterr().err.startswith("tiny_yolo_backbone: needs images with one label")


def test_a_start_is_taken_and_written_down(tmp_path):
    first = tmp_path / "first.safetensors"
    recipe = dataclasses.replace(TINY, epochs=1)
    state, data = command.train("digits_cnn", "digits", recipe=recipe, state_folder=tmp_path / "a")
    command.publish(first, "digits_cnn", data, state, recipe, 0)
    # At a rate of zero the start is what comes out.
    still = dataclasses.replace(recipe, peak_rate=0.0)
    state, data = command.train(
        "digits_cnn", "digits", recipe=still, state_folder=tmp_path / "b", start=first
    )
    command.publish(tmp_path / "second.safetensors", "digits_cnn", data, state, still, 0, first)
    before, after = read_checkpoint(first), read_checkpoint(tmp_path / "second.safetensors")
    assert torch.equal(before[0]["layers.0.weight"], after[0]["layers.0.weight"])
    assert (before[1]["start"], after[1]["start"]) == (None, "first.safetensors")


def test_command_reports_errors_and_bad_options(capsys):
    assert command.main(["--model", "alexnet"]) == 1
    assert capsys.readouterr().err.startswith("model: must be one of")
    with pytest.raises(SystemExit, match=r"^2$"):
        command.main(["--model", "digits_cnn", "--epochs", "0"])
    assert "--epochs: must be at least 1; 0 came" in capsys.readouterr().err


def test_penalty_names_the_run_and_reaches_the_loss(tmp_path):
    recipe = dataclasses.replace(get_recipe("digits_cnn", "digits"), epochs=1)
    options = {"recipe": recipe, "state_folder": tmp_path}
    state, _ = command.train("digits_cnn", "digits", spike_penalty=0.5, **options)
    with pytest.raises(CheckpointError, match=r"changed: spike_penalty 0\.5 now None"):
        command.train("digits_cnn", "digits", **options)
    plain, _ = command.train("digits_cnn", "digits", recipe=recipe, state_folder=tmp_path / "plain")
    assert state.log[0]["loss"] > plain.log[0]["loss"]
