# SPDX-License-Identifier: Apache-2.0
"""Random networks on the compiled gateware, each a function of a seed and its number alone."""

import numpy as np

from stemcore.compiler.errors import PartitionError
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.engines.compare import compare_values, populations_of, sent_values
from stemcore.runtime.engines.run import run_engine
from tests.support import evidence
from tests.support.modes import STEP_MODES
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_stepped_network,
)
from tests.support.wide_networks import wide_network

VIRTUAL = 3  # one network of so many also runs on a chip with fewer cores
MESHES = ({}, {"columns": 3, "rows": 3}, {"cores": 7}, {"columns": 6, "rows": 1})
PLAIN, STRANGE = "plain", "strange"
KINDS = (PLAIN, STRANGE, *STEP_MODES)
_STRANGE_STREAM = 77  # of random numbers, apart from those of other kinds


def run_random(seed: int, number: int, kind: str, preset: str = "tiny") -> int:
    """Compile and run network ``number`` of a kind; returns its cores.

    kind : ``plain``, ``strange`` (layers of ``tests.support.wide_networks``), or an integration
        mode of ``stemcore.compiler.lowering.integrate`` that sums per time step

    Raises at the first difference.
    """
    params = get_preset(preset)
    if kind == PLAIN:
        rng = np.random.default_rng((seed, number))
        network = random_network(rng)
    elif kind == STRANGE:
        rng = np.random.default_rng((seed, number, _STRANGE_STREAM))
        network = wide_network(rng, general=None if params.multipliers else False)
    else:
        rng = np.random.default_rng((seed, number, STEP_MODES.index(kind)))
        params = params.with_integration(kind.removesuffix("_shift"))
        network = random_stepped_network(rng, kind)
    program = compiled(network, params, number)
    images = some_images(rng, network)
    compare_run(program, network, images)
    if kind != STRANGE and number % VIRTUAL == 0:  # once more, with cores that take turns
        size = int(rng.integers(1, max(2, len(program.cores))))
        chip = virtual_chip(program, size, batch=int(rng.integers(1, 9)))
        compare_run(program, network, images, chip)
    return len(program.cores)


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


def some_images(rng, network):
    """Three to eight, in any order: one to three random ones, and two to five of the edges."""
    edges = edge_images(rng, network)
    chosen = rng.permutation(len(edges))[: int(rng.integers(2, len(edges) + 1))]
    images = np.concatenate([random_images(rng, network, int(rng.integers(1, 4))), edges[chosen]])
    return rng.permutation(images)
