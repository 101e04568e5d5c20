# SPDX-License-Identifier: Apache-2.0
"""Training that cannot end well says so before it begins, and never keeps a poisoned state."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stemcore.models import train as command
from stemcore.models.errors import CheckpointError, ModelError
from stemcore.models.recipes import Recipe
from stemcore.models.resume import STATE_FILE
from stemcore.runtime.commands.main import main

TINY = Recipe(epochs=2, batch=512, shift=1, half_precision=False)


def run(folder, recipe=TINY, **options):
    return command.train("digits_cnn", "digits", recipe=recipe, state_folder=folder, **options)[0]


@pytest.fixture
def no_epoch(monkeypatch):
    """Fails where training begins."""
    monkeypatch.setattr(command, "train_epoch", lambda *_: pytest.fail("an epoch was trained"))


def refused(capsys, *words):
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    return error


TRAIN = ("train", "--model", "digits_cnn", "--epochs", "1", "--threads", "1")


@pytest.mark.parametrize("place", ["folder", "file/weights.safetensors", "n" * 300])
def test_weights_that_cannot_be_written_are_found_before_the_first_epoch(
    place, tmp_path, monkeypatch, capsys, no_epoch
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    assert place.partition("/")[0] in refused(capsys, *TRAIN, "--out", place)


@pytest.mark.parametrize("what", ["state", "weights"])
def test_a_disk_that_is_full_is_found_before_the_first_epoch(
    what, tmp_path, monkeypatch, capsys, no_epoch, full_disk
):
    monkeypatch.chdir(tmp_path)
    if what == "weights":
        monkeypatch.setattr(command, "STATE_COPIES", 0)
    with full_disk(10_000):
        error = refused(capsys, *TRAIN)
    name = {"state": STATE_FILE, "weights": "digits_cnn-digits.safetensors"}[what]
    assert f"/{name}: File too large; make room there" in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("penalty", ["nan", "inf", "-1"])
def test_penalties_that_are_no_numbers_are_refused(penalty, capsys, no_epoch):
    error = refused(capsys, *TRAIN, f"--spike-penalty={penalty}")
    assert "spike-penalty: must be a finite number of 0 or more, got" in error


@pytest.mark.parametrize("seed", ["-1", str(2**32), str(2**64), "9" * 400])
def test_seeds_out_of_range_are_refused(seed, capsys, no_epoch):
    assert "seed: must lie in 0..4294967295, got" in refused(capsys, *TRAIN, f"--seed={seed}")


@pytest.mark.medium
def test_training_that_diverges_stops_and_keeps_the_epoch_before(tmp_path, monkeypatch):
    run(tmp_path, stop_after=1)
    before = (tmp_path / STATE_FILE).read_bytes()
    monkeypatch.setattr(
        "stemcore.models.tasks.Classification.loss",
        lambda *_: torch.tensor(math.nan, requires_grad=True),
    )
    with pytest.raises(ModelError, match=r"^training: the loss must be finite; nan came in step 1"):
        run(tmp_path)
    assert (tmp_path / STATE_FILE).read_bytes() == before
    monkeypatch.undo()
    assert run(tmp_path).epoch == 2


def test_weights_that_diverge_in_the_last_step_are_not_kept(tmp_path, monkeypatch):
    def poison(state, *_):
        with torch.no_grad():
            next(state.module.parameters())[0] = math.inf
        state.epoch += 1
        return 1.0

    monkeypatch.setattr(command, "train_epoch", poison)
    with pytest.raises(CheckpointError, match=r"^training: every weight must be finite; NaN or"):
        run(tmp_path)
    assert not (tmp_path / STATE_FILE).exists()


STATES = {
    "epoch of text": ({"epoch": '"two"'}, r"a log that does not have an entry for each epoch"),
    "epoch too large": ({"epoch": "7"}, r"a log that does not have an entry for each epoch"),
    "nested log": ({"log": "[" * 200_000}, r"metadata must be JSON, one is nested too deep"),
    "settings of text": ({"settings": "3"}, r"settings that are none"),
    "no settings": ({"settings": None}, r"'settings'"),
}


@pytest.mark.parametrize("kind", STATES)
def test_states_that_are_none_are_refused(kind, tmp_path):
    changes, reason = STATES[kind]
    metadata = {"epoch": "0", "log": "[]", "settings": "{}"} | changes
    metadata = {name: text for name, text in metadata.items() if text is not None}
    save_file({"module/x": torch.zeros(2)}, tmp_path / STATE_FILE, metadata)
    with pytest.raises(CheckpointError, match=rf"must be the state of .* reading it gave {reason}"):
        run(tmp_path)


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["nan", "shape", "missing", "other"])
def test_states_of_other_tensors_are_refused(kind, tmp_path):
    from safetensors import safe_open

    run(tmp_path, stop_after=1)
    path = tmp_path / STATE_FILE
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    name = next(name for name in tensors if name.startswith("momentum/"))
    if kind == "nan":
        tensors[name].view(-1)[0] = math.nan
    elif kind == "shape":
        tensors[name] = torch.zeros(3)
    elif kind == "missing":
        del tensors[name]
    else:
        tensors["weights"] = torch.zeros(3)
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=r"reading it gave (NaN, inf|tensor ').*; delete it"):
        run(tmp_path)


def test_the_state_tells_its_settings_as_json(tmp_path):
    from safetensors import safe_open

    run(tmp_path, stop_after=1)
    with safe_open(tmp_path / STATE_FILE, framework="pt") as file:
        assert json.loads(file.metadata()["settings"])["model"] == "digits_cnn"
