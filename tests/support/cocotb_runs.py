# SPDX-License-Identifier: Apache-2.0
"""How the tests of tests/cocotb build and run their benches."""

import os
from collections.abc import Mapping
from pathlib import Path

from stemcore.folders import engines, results
from stemcore.golden.spec.params import ChipParams
from stemcore.runtime.native.build import node_sources
from stemcore.testing import HDL_STREAMS, HDL_STREAMS_PUBLIC, BenchOptions, run_bench

BENCHES = Path(__file__).parent.parent / "cocotb"
OUT = results() / "cocotb"
ENGINES = engines()
SIMULATORS = ("icarus", "verilator")


def simulators(*default: str) -> list[str]:
    """The simulator that ``SIM`` names, else ``default``."""
    chosen = os.environ.get("SIM", "")
    return [chosen] if chosen in SIMULATORS else list(default)


def exported_node(params: ChipParams) -> str:
    """Text of node.v: the very one that the native engine is compiled from."""
    return (node_sources(params, ENGINES) / "node.v").read_text()


def run_folder(simulator: str, unit: str, module: str | None = None) -> Path:
    """Where a bench runs: its log, its results, what it writes."""
    return OUT / unit / f"{module or 'run'}-{simulator}"


def bench(
    simulator: str,
    unit: str,
    verilog: Mapping[str, str],
    *,
    parameters: Mapping[str, object],
    module: str | None = None,
) -> list[str]:
    """Runs ``bench_UNIT.py``, or another ``module``, on ``UNIT_bench.v``.

    ``verilog`` holds the texts of the design by file name.
    Returns the names of the tests that passed; a failure raises. Under ``WAVES=1`` the waves lie in
    :func:`run_folder`.
    """
    folder = OUT / unit
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for name, text in verilog.items():
        path = folder / name
        # Written aside and moved: a test beside this one may be reading it.
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(text)
        aside.replace(path)
        sources.append(path)
    return run_bench(
        simulator,
        [BENCHES / f"{unit}_bench.v", HDL_STREAMS, *sources],
        top=f"{unit}_bench",
        test_module=f"tests.cocotb.{module or f'bench_{unit}'}",
        out_dir=folder,
        run_dir=run_folder(simulator, unit, module),
        parameters=parameters,
        options=BenchOptions(
            public=[BENCHES / "public.vlt", HDL_STREAMS_PUBLIC],
            waves=os.environ.get("WAVES", "0") == "1",
        ),
    )
