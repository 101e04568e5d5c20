# SPDX-License-Identifier: Apache-2.0
"""Distillation: the loss, which teachers fit, and a pupil that learns from one."""

import dataclasses

import pytest
import torch

from stemcore.models import train as command
from stemcore.models.checkpoint import checkpoint_path, read_checkpoint, save_checkpoint
from stemcore.models.data import load_dataset
from stemcore.models.errors import CheckpointError, ModelError
from stemcore.models.recipes import Recipe
from stemcore.models.registry import get_model
from stemcore.models.teacher import Teacher, distillation_loss
from stemcore.runtime.commands.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS = tuple("0123456789")
RECIPE = Recipe(epochs=4, batch=32, peak_rate=0.05, shift=1, half_precision=False)
TEACHER = checkpoint_path("digits_cnn", "digits")


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_is_the_divergence_of_softened_probabilities(temperature):
    generator = torch.Generator().manual_seed(5)
    outputs, answers = (torch.randn(7, 4, generator=generator) * 3 for _ in range(2))
    p, q = (torch.softmax(x / temperature, 1).double() for x in (answers, outputs))
    expected = temperature**2 * (p * (p / q).log()).sum(1).mean()
    found = distillation_loss(outputs, answers, temperature)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    assert float(distillation_loss(answers, answers, temperature)) == pytest.approx(0, abs=1e-6)


def test_a_teacher_answers_as_its_network_does_and_stays_as_it_is():
    data = load_dataset("digits", (1, 8, 8), n_test=20)
    teacher = Teacher(TEACHER, (1, 8, 8), "digits", DIGITS)
    module = get_model("digits_cnn").build(n_classes=10).eval()
    state = read_checkpoint(TEACHER)[0]
    module.load_state_dict(state, strict=False)
    batch = torch.from_numpy(data.test_images).float() / 128 - 1
    assert torch.equal(teacher.answer(batch, False), module(batch))
    assert not any(p.requires_grad for p in teacher.module.parameters())


@pytest.mark.medium
def test_a_pupil_learns_without_labels(tmp_path, monkeypatch):
    """All labels are wrong, and the pupil reads digits as its teacher does all the same."""
    data = load_dataset("digits", (1, 8, 8))
    wrong = dataclasses.replace(data, train_labels=(data.train_labels + 1) % 10)
    monkeypatch.setattr(command, "load_dataset", lambda *_: wrong)
    options = {"recipe": RECIPE, "teacher": TEACHER}
    state, _ = command.train("digits_cnn", "digits", state_folder=tmp_path / "a", **options)
    assert state.log[-1]["test_accuracy"] > 0.9
    again, _ = command.train(
        "digits_cnn", "digits", state_folder=tmp_path / "b", stop_after=1, **options
    )
    again, _ = command.train("digits_cnn", "digits", state_folder=tmp_path / "b", **options)
    assert [entry["loss"] for entry in again.log] == [entry["loss"] for entry in state.log]
    with pytest.raises(CheckpointError, match=r"changed: teacher '.*' now None"):
        command.train("digits_cnn", "digits", recipe=RECIPE, state_folder=tmp_path / "b")


@pytest.mark.medium
def test_the_command_names_run_and_file_after_the_teacher(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--model", "digits_cnn", "--epochs", "1", "--mixup", "0.4"]
    assert main([*words, "--teacher", str(TEACHER), "--out", "pupil.safetensors"]) == 0
    run = f"digits_cnn-digits-taught-by-{TEACHER.stem}"
    assert [path.name for path in (tmp_path / "sim_build/train").iterdir()] == [run]
    metadata = read_checkpoint(tmp_path / "pupil.safetensors")[1]
    assert metadata["teacher"] == TEACHER.name
    assert metadata["recipe"]["mixup"] == 0.4


def test_teachers_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(
        ModelError, match=r"must take images of 3x32x32; digits_cnn takes 1x8x8; name weights"
    ):
        Teacher(TEACHER, (3, 32, 32), "digits", DIGITS)
    state, _ = read_checkpoint(TEACHER)
    file = tmp_path / "other.safetensors"
    of_file = {"model": "digits_cnn", "dataset": "mnist"}
    save_checkpoint(file, state, of_file)
    with pytest.raises(ModelError, match=r"^teacher other.*of digits, 0, .*knows those of mnist;"):
        Teacher(file, (1, 8, 8), "digits", DIGITS)
    save_checkpoint(file, state, of_file | {"class_names": ("a", "b")})
    with pytest.raises(ModelError, match=r"must know the classes of mnist, 0, 1, .*knows a, b;"):
        Teacher(file, (1, 8, 8), "mnist", DIGITS)
    with pytest.raises(CheckpointError, match="the weight file must exist"):
        Teacher(tmp_path / "absent.safetensors", (1, 8, 8), "digits", DIGITS)


@pytest.mark.medium
def test_a_teacher_is_for_classes_of_images(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1)
    with pytest.raises(ModelError, match=r"^teacher: is for networks that name a class for each"):
        command.train("unet", "shapes", recipe=recipe, state_folder=tmp_path, teacher=TEACHER)
