# SPDX-License-Identifier: Apache-2.0
"""``make bench``: measures, prints a table, writes ``sim_build/bench.json``.

``python -m benchmarks [--only NAME ...]``; every figure carries the command that measures it alone.
"""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from stemcore.runtime.toolchain import SIM_BUILD

from .compiling import compilation
from .measure import Figure
from .simulators import pipeline, simulators, whole_chip_of_16
from .software import golden_against_torch, program_engine
from .synth import stored_figures

RESULT = SIM_BUILD / "bench.json"
BENCHMARKS = {
    "simulators": simulators,
    "pipeline": pipeline,
    "compile": compilation,
    "golden": golden_against_torch,
    "program": program_engine,
    "synth": stored_figures,
}
# Too long for every time: only when asked for.
LONG = {"chip16": whole_chip_of_16}


def machine() -> dict[str, object]:
    """What the figures were measured on, and how busy it was."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def main(words: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS | LONG))
    chosen = parser.parse_args(words).only or list(BENCHMARKS)
    before = machine()
    print(f"{before['processor']}, {before['processors']} processors, load {before['load']}")
    results: dict[str, object] = {}
    if RESULT.exists():
        # Figures that are not measured now stay as they were.
        results = json.loads(RESULT.read_text()).get("benchmarks", {})
    for name in chosen:
        command = f"python -m benchmarks --only {name}"
        print(f"\n{name}: {command}")
        started = time.perf_counter()
        figures: list[Figure] = []
        for figure in (BENCHMARKS | LONG)[name]():
            print(
                f"  {figure.name:<52} {figure.value:>14,.{figure.digits}f} {figure.unit:<12} "
                f"{figure.note}",
                flush=True,
            )
            figures.append(figure)
        results[name] = {
            "command": command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "seconds": round(time.perf_counter() - started, 1),
            "figures": [figure.to_dict() for figure in figures],
        }
        RESULT.parent.mkdir(exist_ok=True)
        aside = RESULT.with_suffix(".new")
        aside.write_text(json.dumps({"benchmarks": results}, indent=2) + "\n")
        aside.replace(RESULT)
    print(f"\nstored in {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
