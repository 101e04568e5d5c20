# SPDX-License-Identifier: Apache-2.0
"""Counted runs against golden's own counts."""

import numpy as np
import pytest

import stemcore.runtime.sparsify.operation_counts as module
from stemcore.compiler.sparsity.tables import apply_tables, find_tables
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.runtime.prepare import prepare
from stemcore.runtime.settings import Settings
from stemcore.runtime.sparsify.operation_counts import measure_choice, run_with_counts


@pytest.fixture(scope="module")
def prepared():
    return prepare(Settings("digits_cnn"))


@pytest.mark.medium
def test_measured_operations_and_spikes_are_those_of_golden(prepared):
    integers, labels = prepared.integers[:20], prepared.dataset.test_labels[:20]
    choice = {"layers.0": "rot2", "input": "rot1"}
    seen = measure_choice(prepared.compilation, choice, integers)
    tables = find_tables(prepared.quantized.network, choice)
    network = apply_tables(prepared.network, tables)
    values = run_network(network, apply(tables["input"], integers))
    assert seen.sops == pytest.approx(sum(s.mean() for s in n_sops(network, values).values()))
    for name, array in values.items():
        expected = count_spikes(array, network.population(name).bits).mean(axis=0)
        np.testing.assert_array_equal(seen.activity[name], expected)
    fired = sum(array.sum() for name, array in seen.activity.items() if name != "input")
    assert seen.spikes == pytest.approx(fired)
    np.testing.assert_array_equal(seen.outputs, values[network.output.name])
    expected = seen.outputs.reshape(20, -1).argmax(axis=1) == labels
    np.testing.assert_array_equal(seen.right(labels), expected)


@pytest.mark.medium
def test_chunks_do_not_change_what_is_measured(prepared, monkeypatch):
    images = prepared.integers[:23]
    whole = run_with_counts(prepared.network, images, 24)
    monkeypatch.setattr(module, "CHUNK", 5)
    parts = run_with_counts(prepared.network, images, 24)
    np.testing.assert_array_equal(whole.outputs, parts.outputs)
    assert whole.sops == pytest.approx(parts.sops)
