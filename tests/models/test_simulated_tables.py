# SPDX-License-Identifier: Apache-2.0
"""Training under activation tables: scales, values, gradients, and that training with them pays."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.golden.arithmetic.activation_tables import identity, rate_distortion
from stemcore.models import train as command
from stemcore.models.checkpoint import checkpoint_path, load_matching, read_checkpoint
from stemcore.models.data import load_dataset
from stemcore.models.data.preprocess import to_float_input
from stemcore.models.errors import CheckpointError, ModelError
from stemcore.models.recipes import get_recipe
from stemcore.models.registry import get_model
from stemcore.models.simulated_tables import SimulatedTable, TrainingTable, scale_of
from stemcore.models.trainer import new_state, train_epoch
from stemcore.runtime.commands.main import main

TABLE = TrainingTable("rd320", tuple(rate_distortion(8, 320.0).tolist()))


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 5)
    )


def test_the_scale_is_the_power_of_two_with_the_least_error():
    x = torch.arange(256).float()
    assert scale_of(x / 32, 255) == 1 / 32
    assert scale_of(x / 32 * 1.01, 255) == 1 / 32  # clips two values rather than halve all
    assert scale_of(torch.cat([x / 32, torch.tensor([256 / 32.0])]), 255) == 1 / 32
    assert scale_of(torch.zeros(3), 255) == 1.0
    assert scale_of(x / 8, 15) == 2.0  # 31.875 in integers of 0..15 wants 2.125 a step


def test_layers_see_what_the_table_makes_and_gradients_pass():
    net, images = network(), torch.randn(6, 1, 6, 6)
    net.train()
    first = torch.relu(net[0](images))
    with SimulatedTable(net, TABLE, images) as simulated:
        assert net.training
        assert list(simulated.scales) == [net[2]]  # not the image, not the signed last input
        scale = simulated.scales[net[2]]
        seen = net(images)
        seen.sum().backward()
    codes = (first / scale).round().clamp(max=255).long().numpy()
    tabled = torch.from_numpy(np.array(TABLE.entries)[codes]).float() * scale
    assert not torch.equal(tabled, first)
    expected = net[4](net[3](net[2](tabled)))
    assert torch.allclose(seen, expected, atol=1e-6)
    assert net[0].weight.grad is not None and net[0].weight.grad.abs().sum() > 0
    assert not any(part._forward_pre_hooks for part in net.modules())


def test_a_table_that_changes_nothing_rounds_only():
    net, images = network(), torch.randn(2, 1, 6, 6)
    plain = TrainingTable("none", tuple(identity(8).tolist()))
    with SimulatedTable(net, plain, images), torch.no_grad():
        rounded = net(images)
    assert torch.allclose(rounded, net(images), atol=0.02)
    silent = torch.zeros(2, 1, 6, 6)
    net[0].bias.data.zero_()
    with SimulatedTable(net, TABLE, silent) as simulated, torch.no_grad():
        assert simulated.scales[net[2]] == 1.0
        assert torch.equal(net(silent), net[4](net[3](net[2](torch.zeros(2, 4, 4, 4)))))


@pytest.mark.medium
def test_training_under_a_table_wins_back_what_it_costs():
    coarse = TrainingTable("rd1280", tuple(rate_distortion(8, 1280.0).tolist()))
    data = load_dataset("digits", (1, 8, 8), n_train=512, n_test=1)
    images = to_float_input(data.train_images)
    labels = torch.from_numpy(data.train_labels).long()
    recipe = dataclasses.replace(get_recipe("digits_cnn", "digits"), epochs=2, peak_rate=0.01)
    losses = {}
    for learned in (None, coarse):
        state = new_state(get_model("digits_cnn").build, 0)
        load_matching(state.module, checkpoint_path("digits_cnn", "digits"))
        for _ in range(recipe.epochs):
            train_epoch(state, data, recipe, 0, table=learned)
        with SimulatedTable(state.module.eval(), coarse, images[:256]), torch.no_grad():
            losses[learned] = float(nn.functional.cross_entropy(state.module(images), labels))
    assert losses[coarse] < 0.9 * losses[None]


@pytest.mark.medium
def test_the_table_names_the_run_and_the_weight_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--model", "digits_cnn", "--epochs", "1", "--out", "w.safetensors"]
    assert main([*words, "--tables", "rd320"]) == 0
    assert read_checkpoint("w.safetensors")[1]["table"] == "rd320"
    recipe = dataclasses.replace(get_recipe("digits_cnn", "digits"), epochs=1, restart_at=None)
    folder = "sim_build/train/digits_cnn-digits-under-rd320"
    with pytest.raises(CheckpointError, match=r"changed: table \{'entries'"):
        command.train("digits_cnn", "digits", recipe=recipe, state_folder=folder)


def test_a_table_that_cannot_be_is_refused(tmp_path, capsys):
    assert main(["train", "--model", "digits_cnn", "--tables", "rd"]) == 2
    assert "tables: a table must be rot<r>" in capsys.readouterr().err
    recipe = get_recipe("digits_cnn", "digits")
    with pytest.raises(ModelError, match=r"^cifar10net_w16_direct: table expects the bits"):
        command.train(
            "cifar10net_w16_direct", "digits", recipe=recipe, state_folder=tmp_path, table=TABLE
        )
