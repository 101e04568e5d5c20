# SPDX-License-Identifier: Apache-2.0
"""Every weight file of the repository at work, on photographs that are always there.

Figures on data sets that have to be fetched are tests/system/test_models.py's; those skip where the
data are missing, these never do.
"""

import hashlib
import json

import numpy as np
import pytest
import torch

from stemcore import compile as compile_model
from stemcore.golden.network.forward import run_network
from stemcore.models.checkpoint import FOLDER, LIST
from stemcore.models.registry import get_model
from tests.support.trained_decisions import FILE, N_TILES, decide, real, tiles, trained

DECISIONS = json.loads(FILE.read_text())
# Of 40: another processor may break a near tie of two outputs the other way.
LEAST = N_TILES - 2


def checkpoint_params(*, compiled):
    """The weight files; those of LIF neurons, which take seconds, are slow."""
    found = []
    for name in DECISIONS:
        spiking = bool(get_model(name.rpartition("-")[0]).relu_model)
        if not (spiking and compiled):
            is_slow = spiking or compiled
            found.append(pytest.param(name, marks=[pytest.mark.slow] if is_slow else []))
    return found


def agreeing(found, name):
    return sum(a == b for a, b in zip(found, DECISIONS[name], strict=True))


def test_every_weight_file_has_decisions_that_tell_images_apart():
    hint = "after a network was trained: python -m tests.support.trained_decisions"
    assert sorted(DECISIONS) == sorted(path.stem for path in FOLDER.glob("*.safetensors")), hint
    for name, decisions in DECISIONS.items():
        assert len(decisions) == N_TILES, name
        assert len(set(decisions)) >= 5, name


def test_every_weight_file_is_the_listed_one():
    listed = dict(reversed(line.split()) for line in (FOLDER / LIST).read_text().splitlines())
    for path in FOLDER.glob("*.safetensors"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[path.name], path.name


@pytest.mark.parametrize("name", checkpoint_params(compiled=False))
def test_trained_network_decides_as_recorded(name):
    path = FOLDER / f"{name}.safetensors"
    images = tiles(get_model(name.rpartition("-")[0]).input_shape)
    assert agreeing(decide(trained(path), images), name) >= LEAST


@pytest.mark.medium
@pytest.mark.parametrize("name", ["digits_cnn-digits", "tiny_vgg-cifar10", "tiny_yolo-voc"])
def test_a_change_of_the_weights_is_noticed(name):
    """One layer's channels in another order, or a fifth of its size: damage that still runs."""
    path = FOLDER / f"{name}.safetensors"
    images = tiles(get_model(name.rpartition("-")[0]).input_shape)
    for change in (lambda w: w.roll(1, 0), lambda w: w / 5):
        module = trained(path)
        weights = [p for p in module.parameters() if p.ndim > 1]
        with torch.no_grad():
            weights[len(weights) // 2].copy_(change(weights[len(weights) // 2]))
        assert agreeing(decide(module, images), name) < LEAST


@pytest.mark.parametrize("name", checkpoint_params(compiled=True))
def test_trained_network_decides_alike_in_integers(name):
    """Eight bits and scales that are powers of two, calibrated on these very photographs."""
    path = FOLDER / f"{name}.safetensors"
    images = tiles(get_model(name.rpartition("-")[0]).input_shape)
    network = compile_model(
        trained(path), calibration=images, input="signed", name=name, stop="integrate"
    ).network
    codes = np.rint(real(images).numpy() * 128).clip(-127, 127).astype(np.int64)
    outputs = run_network(network, codes, keep=(network.output.name,))[network.output.name]
    # Near ties go either way; a detector's largest output is one of 980.
    assert agreeing(outputs.reshape(N_TILES, -1).argmax(1).tolist(), name) >= N_TILES * 0.65
