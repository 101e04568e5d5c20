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

from stemcore.compiler.errors import PartitionError
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import Control
from stemcore.hdl.core.core import Core
from stemcore.runtime.engines.compare import Difference, compare_values, populations_of, sent_values
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from tests.support import evidence
from tests.support.crowds import crowd, register_of
from tests.support.modes import STEP_MODES
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_stepped_network,
)
from tests.support.wide_networks import wide_network

N_NETWORKS = int(os.environ.get("RANDOM_NETWORKS", "40"))
FIRST = int(os.environ.get("FIRST_NETWORK", "0"))
SEED = int(os.environ.get("SEED", "0"))
GROUPS = 4
VIRTUAL = 3  # one network of so many also runs on a chip with fewer cores
MESHES = ({}, {"columns": 3, "rows": 3}, {"cores": 7}, {"columns": 6, "rows": 1})


def presets() -> list[str]:
    """Those that networks of stranger layers take turns on."""
    named = os.environ.get("RANDOM_PRESETS", "tiny").split()
    # Other integrations are test_random_networks_run_exactly_per_time_step's.
    exact = [name for name, params in PRESETS.items() if params.model.is_exact]
    return exact if named == ["all"] else named


def compiled(network, params, number: int):
    """The program of a network, on one of several meshes where it fits that."""
    try:
        return compile_network(network, params, **MESHES[number % len(MESHES)])
    except PartitionError:  # too large for this mesh: the compiler takes one that fits
        return compile_network(network, params)


def compare_run(program, network, images, chip=None) -> None:
    """Golden, the program engine and the gateware on ``images``: values, outputs, every counter.

    ``chip``: one with fewer cores, on which they take turns.
    """
    expected = run_network(network, images)
    model = run_engine("program", program, images, chip=chip)
    compare_values(populations_of(program), expected, model.values, names=("golden", "program"))
    rtl = run_engine("verilator", program, images, out_dir=engines(), chip=chip)
    sent = sent_values(program, expected)
    compare_values(populations_of(program), sent, rtl.values, names=("golden", "RTL"))
    assert np.array_equal(rtl.outputs, expected[program.output])
    for core in program.cores:
        node = core.x, core.y
        found, wanted = rtl.counters[node], model.counters[node]
        assert {name: found[name] for name in wanted} == wanted, node
        assert found["samples"] == len(images), node
        assert not (program.overflow_proved and found["overflow"]), f"{node}: cannot overflow"
    evidence.record(
        "network",
        cores=len(program.cores),
        images=len(images),
        layers=len(network.layers),
        spikes=sum(counters["fired"] for counters in rtl.counters.values()),
    )


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
    program = compiled(network, params, number)
    images = some_images(rng, network)
    compare_run(program, network, images)
    if number % VIRTUAL == 0:  # once more, with cores that take turns
        size = int(rng.integers(1, max(2, len(program.cores))))
        chip = virtual_chip(program, size, batch=int(rng.integers(1, 9)))
        compare_run(program, network, images, chip)
    return len(program.cores)


def some_images(rng, network):
    """Three to eight, in any order: one to three random ones, and two to five of the edges."""
    edges = edge_images(rng, network)
    chosen = rng.permutation(len(edges))[: int(rng.integers(2, len(edges) + 1))]
    images = np.concatenate([random_images(rng, network, int(rng.integers(1, 4))), edges[chosen]])
    return rng.permutation(images)


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


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_networks_of_stranger_layers_run_exactly_on_the_gateware(group):
    names = presets()
    for number in range(FIRST + group, FIRST + N_NETWORKS, GROUPS):
        rng = np.random.default_rng((SEED, number, 77))
        params = get_preset(names[number // GROUPS % len(names)])
        network = wide_network(rng, general=None if params.multipliers else False)
        try:
            compare_run(compiled(network, params, number), network, some_images(rng, network))
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
