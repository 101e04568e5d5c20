# SPDX-License-Identifier: Apache-2.0
"""Activation tables end to end: torch, golden, program and gateware fire the same spikes."""

import json

import pytest

from stemcore.runtime.prepare import prepare
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from stemcore.runtime.sparsify.operation_counts import run_with_counts

TABLES = {"layers.0": "rot1+drlo3", "layers.3": [0] * 8 + list(range(8, 256)), "input": "rot2"}


@pytest.mark.sim
@pytest.mark.slow
def test_tables_of_a_file_run_exactly_on_the_gateware(tmp_path):
    path = tmp_path / "tables.json"
    path.write_text(json.dumps(TABLES))
    plain = simulate(Settings("digits_cnn"), n_images=2, accuracy_images=1).report
    result = simulate(Settings("digits_cnn", tables=str(path)), n_images=2, accuracy_images=1)
    assert result.differences == ()
    assert result.report["bit_exact"] == {
        "torch_golden": True,
        "golden_program": True,
        "golden_rtl": True,
    }
    assert result.report["tables"] == str(path)
    assert result.report["sops_per_image"] < 0.9 * plain["sops_per_image"]
    assert result.report["spikes_per_image"] < 0.9 * plain["spikes_per_image"]
    prepared = prepare(Settings("digits_cnn", tables=str(path)))
    seen = run_with_counts(prepared.network, prepared.integers[:2], prepared.params.acc_width)
    assert result.report["sops_per_image"] == seen.sops
    assert result.report["spikes_per_image"] == seen.spikes
