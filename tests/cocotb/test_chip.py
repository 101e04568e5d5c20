# SPDX-License-Identifier: Apache-2.0
"""The exported chip, 2 x 2 nodes, under HDL simulators."""

import json

import numpy as np
import pytest

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.hdl.export import chip_verilog
from stemcore.runtime.native.build import build
from stemcore.runtime.native.verilated_mesh import VerilatedMesh
from tests.support.chip_programs import four_core_case
from tests.support.cocotb_runs import ENGINES, bench, exported_node, run_folder, simulators

PARAMS = get_preset("tiny")
CASES = (0, 1)  # as in bench_chip_cycles


def run(simulator, module=None):
    return bench(
        simulator,
        "chip",
        {
            "node.v": exported_node(PARAMS),
            "chip.v": chip_verilog(PARAMS, columns=2, rows=2),
        },
        parameters={"WIDTH": Formats(PARAMS).flit.width, "NODES": 4},
        module=module,
    )


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators("icarus"))
def test_chip_matches_golden_spike_by_spike(simulator):
    assert len(run(simulator)) == 10


def native_cycles(program, images):
    """Starts, ends, and the ends of every node, from the node-by-node engine."""
    n = len(images)
    with VerilatedMesh(build(PARAMS, ENGINES), program) as mesh:
        for core in program.cores:
            mesh.send(mesh.host.configuration(core))
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        outputs = {layer.population.name: layer.population for layer in program.layers}
        for core in program.cores:
            population = outputs[core.layer]
            word = int(core.memories[Memory.CONTROL][Control.END_LIST].item())
            ends = mesh.formats.token_list.unpack(word)["count"]
            values = np.zeros((n, *population.shape), np.uint8)
            mesh.record(mesh.number(core.x, core.y), values, [population], ends)
        population = outputs[program.output]
        values = np.zeros((n, *population.shape), np.uint8)
        mesh.record(-1, values, [population], program.output_ends)
        mesh.prepare_host(images)
        assert mesh.run(samples=n, limit=1_000_000) == 0
        nodes = {
            f"{core.x} {core.y}": mesh.cycles(mesh.number(core.x, core.y), n).tolist()
            for core in program.cores
        }
        return mesh.cycles(-2, n).tolist(), mesh.cycles(-1, n).tolist(), nodes


def check_cycles(whole, native):
    start, end, nodes = native
    # The native engine numbers what passes the host's link by the cycle that follows.
    zero = start[0] - 1
    first = whole["start"][0]
    assert [c - 1 - zero for c in start] == [c - first for c in whole["start"]]
    assert [c - 1 - zero for c in end] == [c - first for c in whole["end"]]
    for node, cycles in nodes.items():
        assert [c - zero for c in cycles] == [c - first for c in whole["nodes"][node]], node


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators("icarus"))
def test_native_engine_has_the_cycles_of_the_whole_chip(simulator):
    """Node by node, sample by sample: the cycle in which the last END is sent."""
    module = "bench_chip_cycles"
    assert len(run(simulator, module)) == len(CASES)
    for n in CASES:
        path = run_folder(simulator, "chip", module) / f"cycles-{n}.json"
        _, program, images = four_core_case(n)
        check_cycles(json.loads(path.read_text()), native_cycles(program, images))
