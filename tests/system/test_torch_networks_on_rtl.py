# SPDX-License-Identifier: Apache-2.0
"""Random torch networks from floats to spikes; a failure shrinks to the smallest network.

TORCH_NETWORKS sets how many (default 12). A failure prints the case as JSON; once it is mended,
that becomes a file in ``past_failures``, which are replayed here for good.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

from stemcore import compile as compile_model
from stemcore.compiler.errors import CompileError
from stemcore.golden.network.forward import run_network
from stemcore.runtime.engines.compare import compare_values
from stemcore.runtime.prepared import torch_values
from tests.support import evidence
from tests.support.planned_nets import PlannedNet, plans

N_NETWORKS = int(os.environ.get("TORCH_NETWORKS", "12"))
PAST = sorted((Path(__file__).parent / "past_failures").glob("*.json"))
PRESET = "sim32"

options = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(["exact", "general", "paper"]),
        "bits": st.integers(2, 8).map(lambda gap: 10 - gap),  # eight is the simplest
        "tables": st.sampled_from(["none", "rot1", "drlo3"]),
        "integration": st.sampled_from(["exact", "late"]),
    }
)


def images_of(shape, seed, n):
    """Floats; the first image is empty, the second has one position, the last is at a rail."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(-1, 1, (n, *shape))
    images[:2] = 0
    images[1][tuple(rng.integers(0, shape))] = 1
    images[-1] = 1
    return (images * 127 / 128).astype(np.float32)


def run_case(case):
    """Torch's integers against golden's, golden's spikes against the gateware's."""
    plan, chosen = case["plan"], dict(case["options"])
    images = images_of(plan["shape"], plan["seed"], 5)
    compiled = compile_model(
        PlannedNet(plan), calibration=images_of(plan["shape"], plan["seed"] + 1, 12),
        preset=PRESET, outputs="values", **chosen,
    )  # fmt: skip
    exact = compiled.compilation.result("lower")
    codes = compiled.integers(images)
    golden = run_network(exact, codes)
    layers = [layer.population for layer in exact.layers]
    quantized = torch_values(compiled.compilation.quantized_model, codes)
    compare_values(layers, quantized, golden, names=("torch", "golden"))
    result = compiled.run(images)
    evidence.record("torch network", cores=len(compiled.program.cores), images=len(images))
    return result


@pytest.mark.sim
@pytest.mark.slow
def test_random_torch_networks_run_exactly_on_the_gateware():
    n_run = 0

    @settings(max_examples=N_NETWORKS, suppress_health_check=list(HealthCheck))
    @given(plans(), options)
    def runs(plan, chosen):
        nonlocal n_run
        case = {"plan": plan, "options": chosen}
        note(f"case: {json.dumps(case)}")
        try:
            run_case(case)
        except CompileError:  # a network that cannot be compiled says so; others are of interest
            reject()
        n_run += 1

    runs()
    assert n_run >= N_NETWORKS // 2


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("path", PAST, ids=lambda path: path.stem)
def test_what_once_failed_runs_exactly(path):
    case = json.loads(path.read_text())
    assert len(case["found"].split()) > 4, "what was wrong, in a sentence"
    run_case(case)
