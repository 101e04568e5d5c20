# SPDX-License-Identifier: Apache-2.0
"""A host may read status and counters at any time: results and counters stay what they are."""

import numpy as np
import pytest

from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.registers import Control
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import build
from stemcore.runtime.native.run import record
from stemcore.runtime.native.verilated_mesh import VerilatedMesh
from tests.support.chip_programs import four_core_case

pytestmark = pytest.mark.sim
OUT = engines()
READABLE = [register for register in Control if register is not Control.COMMAND]


def run(program, images, rng=None):
    """Values of every layer, and counters of every core; with ``rng``, reads at random moments."""
    with VerilatedMesh(build(program.params, OUT), program) as mesh:
        for core in program.cores:
            mesh.load(core)
        watchdog.settled(mesh)
        values, _ = record(mesh, len(images))
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.prepare_host(images)
        n_reads = 0
        while mesh.run(samples=len(images), limit=int(rng.integers(1, 40)) if rng else 10_000):
            if rng is not None:
                core = program.cores[rng.integers(len(program.cores))]
                mesh.read(core, Memory.CONTROL, int(rng.choice(READABLE)))
                n_reads += 1
            assert mesh.cycle < 200_000, "the images must come out"
        watchdog.settled(mesh)
        counters = [mesh.counters(core) for core in program.cores]
    return values, counters, n_reads


@pytest.mark.parametrize("seed", range(6))
def test_reads_of_status_and_counters_change_nothing(seed, rng):
    network, program, images = four_core_case(seed)
    expected = run_network(network, images)
    quiet, counters, _ = run(program, images)
    disturbed, counted, n_reads = run(program, images, rng)
    assert n_reads > 20
    for layer in network.layers:
        np.testing.assert_array_equal(quiet[layer.name].view(np.uint8), disturbed[layer.name])
        low = (1 << layer.bits) - 1
        np.testing.assert_array_equal(disturbed[layer.name], expected[layer.name] & low)
    # How long spikes wait depends on when they come, and so does what the answers' way costs.
    exact = [name for name in counters[0] if name not in ("stalled", "fire_cycles")]
    assert [[c[n] for n in exact] for c in counted] == [[c[n] for n in exact] for c in counters]
