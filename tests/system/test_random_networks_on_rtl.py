# SPDX-License-Identifier: Apache-2.0
"""Random networks on the compiled gateware: every spike, every counter equal to golden.

RANDOM_NETWORKS sets how many (default 40); network i derives from (SEED, i) alone, so that a
failing one is found again with FIRST_NETWORK=i RANDOM_NETWORKS=1. A quarter as many are integrated
per time step, in every form.
"""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth import Const

from stemcore.compiler.errors import PartitionError
from stemcore.compiler.pipeline import compile_network
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.core.core import Core
from stemcore.runtime.engines.compare import Difference, compare_values, populations_of, sent_values
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from tests.support.modes import STEP_MODES
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_stepped_network,
)

N_NETWORKS = int(os.environ.get("RANDOM_NETWORKS", "40"))
FIRST = int(os.environ.get("FIRST_NETWORK", "0"))
SEED = int(os.environ.get("SEED", "0"))
GROUPS = 4
MESHES = ({}, {"columns": 3, "rows": 3}, {"cores": 7}, {"columns": 6, "rows": 1})


def run_one(number: int, mode: str | None = None) -> int:
    """Compile and run network ``number``; returns its cores. Raises at the first difference.

    ``mode``: an integration mode of ``stemcore.compiler.lowering.integrate``.
    """
    params = get_preset("tiny")
    if mode is None:
        rng = np.random.default_rng((SEED, number))
        network = random_network(rng)
    else:
        rng = np.random.default_rng((SEED, number, STEP_MODES.index(mode)))
        params = params.with_integration(mode.removesuffix("_shift"))
        network = random_stepped_network(rng, mode)
    try:
        program = compile_network(network, params, **MESHES[number % len(MESHES)])
    except PartitionError:  # too large for this mesh: the compiler takes one that fits
        program = compile_network(network, params)
    images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network)])
    expected = run_network(network, images)
    model = run_engine("program", program, images)
    compare_values(populations_of(program), expected, model.values, names=("golden", "program"))
    rtl = run_engine("verilator", program, images, out_dir=engines())
    sent = sent_values(program, expected)
    compare_values(populations_of(program), sent, rtl.values, names=("golden", "RTL"))
    assert np.array_equal(rtl.outputs, expected[program.output])
    for node, counters in model.counters.items():
        assert {name: rtl.counters[node][name] for name in counters} == counters, node
    return len(program.cores)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_random_networks_run_exactly_on_the_gateware(group):
    n_cores = []
    for number in range(FIRST + group, FIRST + N_NETWORKS, GROUPS):
        try:
            n_cores.append(run_one(number))
        except Exception as error:
            error.add_note(f"network {number}: SEED={SEED} FIRST_NETWORK={number}")
            raise
    assert N_NETWORKS < GROUPS or max(n_cores) > 1


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mode", STEP_MODES)
def test_random_networks_run_exactly_per_time_step(mode):
    for number in range(FIRST, FIRST + max(1, N_NETWORKS // 4)):
        try:
            run_one(number, mode)
        except Exception as error:
            error.add_note(f"network {number}, {mode}: SEED={SEED} FIRST_NETWORK={number}")
            raise


def control_without_waiting_for_spikes(report):
    """``Core._report`` in which spikes that wait for their loop nest hold no update pass back."""

    def forgetful(self, m, control, ingress, spikes, flow, axon_in, dendrite, soma, axon_out):
        never_waits = SimpleNamespace(idle=Const(1, 1))
        report(self, m, control, ingress, never_waits, flow, axon_in, dendrite, soma, axon_out)

    return forgetful


@pytest.mark.sim
@pytest.mark.slow
def test_an_update_pass_that_overtakes_the_last_spike_is_found(tmp_path, monkeypatch):
    """The last spike may still wait when END comes: images of one spike tell, dense ones do not."""
    monkeypatch.setattr(Core, "_report", control_without_waiting_for_spikes(Core._report))
    params, n_wrong = get_preset("tiny"), 0
    for number in range(12):
        rng = np.random.default_rng((SEED, number))
        network = random_network(rng)
        program = compile_network(network, params)
        images = edge_images(rng, network, 6)
        expected = sent_values(program, run_network(network, images))
        try:
            values = run_engine("verilator", program, images, out_dir=tmp_path).values
            compare_values(populations_of(program), expected, values, names=("golden", "RTL"))
        except (Difference, EngineError):
            n_wrong += 1
    assert n_wrong
