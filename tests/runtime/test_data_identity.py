# SPDX-License-Identifier: Apache-2.0
"""A folder of the user's own has an identity: its weights and results serve no other folder."""

import numpy as np
import pytest
from PIL import Image

from stemcore.models.checkpoint import own_checkpoint_path, save_checkpoint
from stemcore.models.data.identity import path_name
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.registry import get_model
from stemcore.models.train import train_and_publish
from stemcore.runtime.load_model import load_model
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, classes in (("my fruit", ("apple", "pear")), ("animals", ("ant", "bee"))):
        for split in ("train", "val"):
            for label in classes:
                folder = tmp_path / name / split / label
                folder.mkdir(parents=True)
                for i in range(3):
                    pixels = rng.integers(0, 256, (9, 9), np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "my fruit", tmp_path / "animals"


def test_weights_of_one_folder_do_not_serve_another(folders, capsys):
    fruit, animals = folders
    path = train_and_publish("digits_cnn", str(fruit), epochs=1)
    assert path == own_checkpoint_path("digits_cnn", path_name(fruit))
    assert load_model(Settings("digits_cnn", str(fruit))).weights == "trained"
    assert load_model(Settings("digits_cnn", str(animals))).weights == RANDOM
    # Asked for by name they do, and it is said whose they are.
    chosen = load_model(Settings("digits_cnn", str(animals), checkpoint=path))
    assert chosen.weights == f"trained on {path_name(fruit)}"


@pytest.mark.medium
def test_hints_name_the_folder_that_was_given(folders):
    fruit, _ = folders
    said = []
    simulate(Settings("digits_cnn", str(fruit)), n_images=1, engine="golden", say=said.append)
    (line,) = (line for line in said if line.startswith("weights"))
    assert f"'stemcore train --model digits_cnn --dataset '{fruit}'' does" in line
    with pytest.raises(ValueError, match=rf"^IMAGES: must lie in 1\.\.6, .* of {fruit}; got 9$"):
        simulate(Settings("digits_cnn", str(fruit)), n_images=9, engine="golden")


def test_weights_of_the_layouts_name_are_not_taken(folders):
    """What was once called by the layout, whatever folder it came from, is nobody's now."""
    fruit, _ = folders
    module = get_model("digits_cnn").build(n_classes=2)
    save_checkpoint(
        own_checkpoint_path("digits_cnn", "imagenet"),
        module.state_dict(),
        {"model": "digits_cnn", "dataset": "imagenet"},
    )
    assert load_model(Settings("digits_cnn", str(fruit))).weights == RANDOM


def test_names_of_paths_have_no_dash_and_tell_folders_apart(tmp_path):
    names = {path_name(tmp_path / part) for part in ("a-b", "a_b", "sub/a-b", "a\udce9b")}
    assert len(names) == 4
    assert not any("-" in name for name in names)
