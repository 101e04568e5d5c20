# SPDX-License-Identifier: Apache-2.0
"""INTEGRATION: settings, comparison with the exact network, and what is reported."""

import numpy as np
import pytest

from stemcore.golden.spec.neurons.exact import EXACT
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.integration_effects import compare_integrations
from stemcore.runtime.settings import Settings, chip_params


@pytest.mark.parametrize(
    ("preset", "integration", "model", "acc_width"),
    [
        ("sim32", None, "exact", 24),
        ("sim32", "late", "late", 16),
        ("sim32", "scaled_shift", "scaled", 16),
        ("darwin3", None, "scaled", 16),
        ("darwin3", "late", "late", 16),
        ("darwin3", "exact", "exact", 24),
    ],
)
def test_the_model_is_the_presets_unless_one_is_asked_for(preset, integration, model, acc_width):
    params = chip_params(Settings("digits_cnn", preset=preset, integration=integration))
    assert (params.integration, params.acc_width) == (model, acc_width)


@pytest.fixture(scope="module")
def prepared():
    """digits_cnn in late scaling."""
    return prepare(Settings("digits_cnn", integration="late"))


@pytest.mark.medium
def test_prepare_keeps_the_exact_network_beside_the_integrated_one(prepared):
    assert prepared.exact_width == 24
    assert all(layer.neuron == EXACT for layer in prepared.exact.layers)
    assert all(layer.neuron != EXACT for layer in prepared.network.layers)


@pytest.mark.slow
def test_late_integration_keeps_the_accuracy_and_changes_little(prepared):
    n = 180
    report = compare_integrations(prepared, [prepared.integers[:100], prepared.integers[100:n]])
    assert (report["mode"], report["images"]) == ("late", n)
    assert len(report["constants"]) == len(prepared.network.layers)
    assert report["accuracy"] > 0.98
    names = [layer.name for layer in prepared.exact.layers]
    for key in ("changed", "changed_alone"):
        assert list(report[key]) == names
    # The first layer's inputs are the same in both; later ones differ by what came before.
    assert report["changed"][names[0]] == report["changed_alone"][names[0]]
    assert 0 < max(report["changed_alone"].values()) < 0.02
    spread = np.array([report["changed"][name] - report["changed_alone"][name] for name in names])
    assert (spread[1:] > 0).any()
