# SPDX-License-Identifier: Apache-2.0
"""Benches of the exported Verilog with probes in it and all lines, branches and toggles counted."""

from collections import Counter
from pathlib import Path

import pytest

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import component_verilog
from stemcore.hdl.noc.router import Router
from stemcore.testing import HDL_STREAMS, HDL_STREAMS_PUBLIC, BenchOptions, run_bench
from tests.coverage.goals import OUT, SAMPLES, program_fields, write_samples
from tests.support import random_runs
from tests.support.cocotb_runs import BENCHES, exported_node
from tests.support.modes import STEP_MODES
from tests.support.random_runs import PLAIN, run_random
from tests.system.test_random_networks_on_rtl import SEED

N_NETWORKS, N_STEPPED = 24, 3
HERE = Path(__file__).parent
PARAMS = get_preset("tiny")
PARAMETERS = {"WIDTH": Formats(PARAMS).flit.width, "COORD_WIDTH": PARAMS.coord_width}


def run_with_probes(unit, verilog, modules):
    folder = OUT / unit
    folder.mkdir(parents=True, exist_ok=True)
    design = folder / f"{unit}.v"
    design.write_text(verilog)
    probes = [HERE / "probes.v", HERE / f"{unit}_probes.v"]
    passed = run_bench(
        "verilator",
        [BENCHES / f"{unit}_bench.v", HDL_STREAMS, design, *probes],
        top=f"{unit}_bench",
        test_module=[*modules, "tests.coverage.bench_coverage"],
        out_dir=folder,
        run_dir=folder / "run",
        parameters=PARAMETERS,
        options=BenchOptions(
            public=[BENCHES / "public.vlt", HDL_STREAMS_PUBLIC, HERE / "probes.vlt"],
            env={"COVERAGE_SAMPLES": str(SAMPLES / f"cocotb-{unit}.json")},
            coverage=True,
            optimize="-O0",
        ),
    )
    assert (folder / "run" / "coverage.dat").is_file()
    return passed


@pytest.mark.sim
@pytest.mark.slow
def test_the_router_with_probes():
    verilog = component_verilog(Router(params=PARAMS), name="router")
    assert len(run_with_probes("router", verilog, ["tests.cocotb.bench_router"])) == 18


@pytest.mark.sim
@pytest.mark.slow
def test_the_node_with_probes():
    modules = ["tests.cocotb.bench_node", "tests.coverage.bench_tokens"]
    assert len(run_with_probes("node", exported_node(PARAMS), modules)) > 23


@pytest.fixture
def programs(monkeypatch):
    """Programs that random networks are compiled to, as they are run."""
    compiled = []

    def noting(*args, **options):
        compiled.append(compile_network(*args, **options))
        return compiled[-1]

    monkeypatch.setattr(random_runs, "compile_network", noting)
    return compiled


@pytest.mark.sim
@pytest.mark.slow
def test_fields_of_random_networks(programs):
    """Networks on the compiled gateware, equal to golden; what their descriptors hold."""
    for number in range(N_NETWORKS):
        run_random(SEED, number, PLAIN)
    for mode in STEP_MODES:
        for number in range(N_STEPPED):
            run_random(SEED, number, mode)
    counts = sum((program_fields(program) for program in programs), Counter())
    write_samples(SAMPLES / "random-networks.json", {"fields": counts})
