# SPDX-License-Identifier: Apache-2.0
"""Training: augmentation, the rate's course, resuming, and the command line."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from stemcore.models import train as command
from stemcore.models import trainer
from stemcore.models.augment import PADDING_BYTE, augment
from stemcore.models.checkpoint import read_checkpoint
from stemcore.models.data import DATASETS, load_dataset
from stemcore.models.data.preprocess import to_float_input
from stemcore.models.errors import CheckpointError, DataError, ModelError
from stemcore.models.recipes import RECIPES, Recipe, get_recipe
from stemcore.models.registry import MODELS
from stemcore.models.resume import STATE_FILE
from stemcore.models.trainer import rate_at
from stemcore.runtime.commands.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = Recipe(epochs=3, batch=256, shift=1, half_precision=False)


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


@pytest.mark.medium
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


@pytest.mark.medium
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


@pytest.mark.medium
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


@pytest.mark.medium
def test_command_trains_and_writes_the_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "weights.safetensors"
    arguments = [
        "train",
        "--model",
        "digits_cnn",
        "--epochs",
        "2",
        "--threads",
        "1",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    _, metadata = read_checkpoint(out)
    assert lines[0].startswith("epoch 1/2: loss ")
    assert lines[-1] == (
        f"float test accuracy {100 * metadata['test_accuracy']:.2f} % on 360 images"
    )
    assert metadata["epochs"] == metadata["recipe"]["epochs"] == 2
    assert metadata["parameters"] == 12_266


@pytest.mark.medium
def test_a_detector_trains_and_names_its_metric(tmp_path, monkeypatch, capsys):
    """A few steps on small canvases: the loss falls, and the file says what was measured."""
    few = load_dataset("digit_boxes", (3, 112, 112), n_train=32, n_test=4)
    monkeypatch.setattr(command, "load_dataset", lambda *_: few)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "weights.safetensors"
    arguments = [
        "train",
        "--model",
        "tiny_yolo",
        "--epochs",
        "4",
        "--threads",
        "1",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    losses = [
        float(line.split("loss ")[1].split(",")[0])
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("epoch")
    ]
    assert losses[-1] < losses[0]
    _, metadata = read_checkpoint(out)
    assert metadata["metric"] == "mAP@0.5"
    assert metadata["class_names"] == list("0123456789")
    start = ["train", "--start", str(out), "--model", "tiny_yolo_backbone", "--dataset", "voc"]
    assert main(start) == 2
    assert capsys.readouterr().err.startswith(
        "error: tiny_yolo_backbone: needs images with one label"
    )


@pytest.mark.medium
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


@pytest.mark.medium
def test_a_trained_network_is_trained_on_beside_its_own_run(tmp_path, monkeypatch, capsys):
    """The second run has other settings than the first, whose state is kept."""
    monkeypatch.chdir(tmp_path)
    words = ["train", "--model", "digits_cnn", "--epochs", "1", "--out"]
    assert main([*words, "dense.safetensors"]) == 0
    more = ["--start", "dense.safetensors", "--rate", "0.01", "--spike-penalty", "0.2"]
    assert main([*words, "sparse.safetensors", *more]) == 0
    assert {path.name for path in Path("sim_build/train").iterdir()} == {
        "digits_cnn-digits",
        "digits_cnn-digits-from-dense",
    }
    metadata = read_checkpoint("sparse.safetensors")[1]
    assert metadata["recipe"]["peak_rate"] == metadata["recipe"]["restart_rate"] == 0.01
    assert (metadata["spike_penalty"], metadata["start"]) == (0.2, "dense.safetensors")
    assert read_checkpoint("dense.safetensors")[1]["spike_penalty"] == 0


@pytest.mark.parametrize("rate", ["0", "-0.1", "nan", "inf"])
def test_a_rate_is_a_finite_number_above_zero(rate, capsys):
    assert main(["train", "--model", "digits_cnn", f"--rate={rate}"]) == 2
    assert capsys.readouterr().err.startswith("error: rate: must be a finite number above 0, got")


def test_command_reports_errors_and_bad_options(capsys):
    assert main(["train", "--model", "alexnet"]) == 2
    assert capsys.readouterr().err.startswith("error: model: must be one of")
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["train", "--model", "digits_cnn", "--epochs", "0"])
    assert "--epochs: must be at least 1, got '0'" in capsys.readouterr().err


@pytest.mark.medium
def test_penalty_names_the_run_and_reaches_the_loss(tmp_path):
    recipe = dataclasses.replace(get_recipe("digits_cnn", "digits"), epochs=1)
    options = {"recipe": recipe, "state_folder": tmp_path}
    state, _ = command.train("digits_cnn", "digits", spike_penalty=0.5, **options)
    with pytest.raises(CheckpointError, match=r"changed: spike_penalty 0\.5 now None"):
        command.train("digits_cnn", "digits", **options)
    plain, _ = command.train("digits_cnn", "digits", recipe=recipe, state_folder=tmp_path / "plain")
    assert state.log[0]["loss"] > plain.log[0]["loss"]


FAST = Recipe(
    epochs=3,
    batch=64,
    peak_rate=0.2,
    triangle_to=0.1,
    norm_bias_rate=8.0,
    decays_vectors=True,
    shift=1,
    flip=True,
    alternate_flip=True,
    look_ahead=True,
    half_precision=False,
)


def test_alternating_images_change_sides_every_epoch():
    first, second, third = (trainer._mirrored(200, 3, epoch) for epoch in range(3))
    assert 60 < int(first.sum()) < 140
    assert torch.equal(second, ~first)
    assert torch.equal(third, first)
    assert not torch.equal(trainer._mirrored(200, 4, 0), first)


def test_augment_mirrors_the_images_it_is_told_to(rng):
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 5, 6), np.uint8))
    which = torch.tensor([True, False, False, True])
    result = augment(images, 0, which, torch.Generator())
    expected = torch.where(which[:, None, None, None], images.flip(3), images)
    assert torch.equal(result, expected)


@pytest.mark.parametrize(("height", "width", "side"), [(5, 7, 3), (4, 4, 4), (3, 8, 5)])
def test_cutout_covers_one_square_within_each_image(height, width, side, rng):
    # No byte of the images equals the one that covers them.
    images = torch.from_numpy(rng.integers(0, PADDING_BYTE, (64, 2, height, width), np.uint8))
    result = augment(images, 0, False, torch.Generator().manual_seed(3), cutout=side)
    rows, columns = min(side, height), min(side, width)
    places = set()
    for image, changed in zip(images, result, strict=True):
        covered = (changed != image).any(0).nonzero()
        y, x = covered.min(0).values.tolist()
        wanted = image.clone()
        wanted[:, y : y + rows, x : x + columns] = PADDING_BYTE
        assert torch.equal(changed, wanted)
        places.add((y, x))
    assert len(places) == (height - rows + 1) * (width - columns + 1)


def test_a_triangle_falls_along_a_line():
    recipe = Recipe(epochs=10, peak_rate=1.0, warmup=0.2, triangle_to=0.1)
    rates = [rate_at(recipe, progress) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    np.testing.assert_allclose(rates, [0.0, 0.5, 1.0, 0.55, 0.1])


@pytest.mark.medium
def test_the_last_step_of_look_ahead_leaves_the_averages_in_the_module(tmp_path):
    state = run(tmp_path, FAST)
    assert state.averages
    for name, average in state.averages.items():
        assert torch.equal(average, state.module.state_dict()[name]), name


@pytest.mark.medium
def test_look_ahead_resumes_as_if_it_had_not_stopped(tmp_path):
    whole = run(tmp_path / "whole", FAST)
    run(tmp_path / "parts", FAST, stop_after=1)
    parts = run(tmp_path / "parts", FAST)
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, parts.module.state_dict()[name]), name


@pytest.mark.medium
def test_biases_of_norms_learn_at_their_own_rate(rng):
    """One step from the same state: the norms' biases move further, and nothing else differs."""
    moved = {}
    for multiple in (1.0, 8.0):
        recipe = dataclasses.replace(FAST, epochs=1, batch=1437, norm_bias_rate=multiple)
        recipe = dataclasses.replace(recipe, weight_decay=0.0, look_ahead=False)
        state = trainer.new_state(MODELS["digits_cnn"].build, 0)
        before = {n: p.clone() for n, p in state.module.named_parameters()}
        trainer.train_epoch(state, load_dataset("digits", (1, 8, 8)), recipe, 0)
        moved[multiple] = {n: p - before[n] for n, p in state.module.named_parameters()}
    norms = {
        f"{name}.bias"
        for name, module in state.module.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    assert norms
    for name, step in moved[1.0].items():
        wanted = step * 8 if name in norms else step
        torch.testing.assert_close(moved[8.0][name], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["vgg7", "resnet10"])
def test_first_weights_whiten_patches_and_pass_channels_on(name, rng):
    images = rng.integers(0, 256, (64, 3, 32, 32), np.uint8)
    # Neighbours that resemble each other, as in photographs.
    images[..., 1:] = (images[..., 1:].astype(int) + 3 * images[..., :-1].astype(int)) // 4
    module = trainer.new_state(MODELS[name].build, 0, images).module
    filters = module.whiten.weight.flatten(1).double()
    assert torch.equal(filters[:12], -filters[12:])
    patches = torch.nn.functional.unfold(to_float_input(images), 2).transpose(1, 2).flatten(0, 1)
    covariance = torch.cov((patches.double() @ filters[:12].T).T)
    np.testing.assert_allclose(covariance.numpy(), np.eye(12), atol=0.05)
    assert not module.whiten.weight.requires_grad
    first = next(module.blocks.parameters())
    wanted = torch.zeros(24, 24, 3, 3)
    wanted[range(24), range(24), 1, 1] = 1
    assert torch.equal(first[:24], wanted)


@pytest.mark.medium
def test_mixup_mixes_pairs_and_their_losses(tmp_path, monkeypatch):
    """Each image keeps its share, the loss is that of both labels, and a resumed run repeats it."""
    recipe = dataclasses.replace(TINY, mixup=0.7)
    seen = []
    lerp = torch.Tensor.lerp

    def record(images, partners, weight):
        seen.append((len(images), round(1 - weight, 12)))
        return lerp(images, partners, weight)

    monkeypatch.setattr(torch.Tensor, "lerp", record)
    whole = run(tmp_path / "whole", recipe)
    steps = 1437 // 256
    expected = [
        (256, round(share, 12))
        for epoch in range(3)
        for share in trainer._shares(recipe, 0, epoch, steps)
    ]
    assert seen == expected
    assert len({share for _, share in seen}) == len(seen)
    assert all(0 <= share <= 1 for _, share in seen)
    run(tmp_path / "parts", recipe, stop_after=2)
    parts = run(tmp_path / "parts", recipe)
    assert parts.log[-1]["loss"] == whole.log[-1]["loss"]
    assert whole.log[0]["loss"] != run(tmp_path / "plain", stop_after=1).log[0]["loss"]


def test_without_mixup_every_image_keeps_all_of_itself():
    assert trainer._shares(TINY, 0, 5, 3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("mixup", ["-1", "nan", "inf"])
def test_mixup_is_a_finite_number(mixup, capsys):
    assert main(["train", "--model", "digits_cnn", f"--mixup={mixup}"]) == 2
    assert capsys.readouterr().err.startswith("error: mixup: must be a finite number of 0 or more")


@pytest.mark.medium
def test_boxes_do_not_mix(tmp_path):
    recipe = dataclasses.replace(get_recipe("tiny_yolo", "digit_boxes"), mixup=0.2)
    with pytest.raises(ModelError, match=r"^mixup: .* boxes of digit_boxes came, .*leave it out$"):
        command.train("tiny_yolo", "digit_boxes", recipe=recipe, state_folder=tmp_path)


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_named(device, tmp_path):
    with pytest.raises(ModelError, match=rf"^device: must be .*\(cpu.*\); '{device}' came, of whi"):
        run(tmp_path, device=device)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_run_that_began_on_the_processor_goes_on_on_a_gpu(tmp_path):
    run(tmp_path, FAST, stop_after=1)
    state = run(tmp_path, FAST, device="cuda")
    assert state.epoch == 3
    assert {str(t.device) for t in state.module.state_dict().values()} == {"cpu"}
    assert state.log[-1]["test_accuracy"] > state.log[0]["test_accuracy"]
