# SPDX-License-Identifier: Apache-2.0
"""Random networks on the compiled gateware: every spike, every counter equal to golden.

RANDOM_NETWORKS sets how many (default 40); network i derives from (SEED, i) alone, so that a
failing one is found again with FIRST_NETWORK=i RANDOM_NETWORKS=1. As many are of stranger layers
(``tests.support.wide_networks``), and a quarter as many are integrated per time step, by each mode.
RANDOM_PRESETS names the presets that those of stranger layers are compiled for in turn, or ``all``;
each is a gateware that has to be built once.
"""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth import Const

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import Control
from stemcore.hdl.core.core import Core
from stemcore.runtime.engines.compare import Difference, compare_values, populations_of, sent_values
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from tests.support.crowds import crowd, register_of
from tests.support.modes import STEP_MODES
from tests.support.random_networks import edge_images, random_images, random_network
from tests.support.random_runs import PLAIN, STRANGE, compare_run, run_random

N_NETWORKS = int(os.environ.get("RANDOM_NETWORKS", "40"))
FIRST = int(os.environ.get("FIRST_NETWORK", "0"))
SEED = int(os.environ.get("SEED", "0"))
GROUPS = 4


def presets() -> list[str]:
    """Those that networks of stranger layers take turns on."""
    named = os.environ.get("RANDOM_PRESETS", "tiny").split()
    # Other integrations are test_random_networks_run_exactly_per_time_step's.
    exact = [name for name, params in PRESETS.items() if params.model.is_exact]
    return exact if named == ["all"] else named


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_random_networks_run_exactly_on_the_gateware(group):
    n_cores = []
    for number in range(FIRST + group, FIRST + N_NETWORKS, GROUPS):
        try:
            n_cores.append(run_random(SEED, number, PLAIN))
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
            run_random(SEED, number, mode)
        except Exception as error:
            error.add_note(f"network {number}, {mode}: SEED={SEED} FIRST_NETWORK={number}")
            raise


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_networks_of_stranger_layers_run_exactly_on_the_gateware(group):
    names = presets()
    for number in range(FIRST + group, FIRST + N_NETWORKS, GROUPS):
        try:
            run_random(SEED, number, STRANGE, names[number // GROUPS % len(names)])
        except Exception as error:
            error.add_note(f"strange network {number}: SEED={SEED} FIRST_NETWORK={number}")
            raise


@pytest.mark.sim
@pytest.mark.slow
def test_cores_of_more_than_thirty_sources_and_destinations_run_exactly(rng):
    network, program = crowd(rng)
    assert max(register_of(program, Control.N_SOURCES)) > 32
    assert max(register_of(program, Control.N_DESTINATIONS)) > 32
    images = [random_images(rng, network, 2), *[edge_images(rng, network)[-1:]] * 2]
    compare_run(program, network, np.concatenate(images))


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
