# SPDX-License-Identifier: Apache-2.0
"""``stemcore bench``: measures, prints a table, writes ``sim_build/bench.json``.

Every figure carries the command that measures it alone.
"""

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from stemcore.files import write_whole
from stemcore.folders import results

from .measure import Figure

# Module beside this one and its function; imported when it is measured, for some need torch.
BENCHMARKS = {
    "simulators": ("simulators", "simulators"),
    "pipeline": ("simulators", "pipeline"),
    "compile": ("compiling", "compilation"),
    "golden": ("software", "golden_against_torch"),
    "program": ("software", "program_engine"),
    "synth": ("synth", "stored_figures"),
}
# Too long for every time, or not for every environment: only when asked for.
LONG = {
    "chip16": ("simulators", "whole_chip_of_16"),
    "torchvision": ("torchvision_networks", "estimates"),
    "torchvision_rtl": ("torchvision_networks", "on_gateware"),
}


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


def _figures(name: str) -> Iterator[Figure]:
    module, function = (BENCHMARKS | LONG)[name]
    return getattr(import_module(f".{module}", __package__), function)()


def run_benchmarks(only: Sequence[str] | None = None) -> None:
    """Measures, prints and stores; ``only`` names some of ``BENCHMARKS`` and ``LONG``."""
    stored = results() / "bench.json"
    chosen = only or list(BENCHMARKS)
    before = machine()
    print(f"{before['processor']}, {before['processors']} processors, load {before['load']}")
    measured: dict[str, object] = {}
    if stored.exists():
        # Figures that are not measured now stay as they were.
        measured = json.loads(stored.read_text()).get("benchmarks", {})
    for name in chosen:
        command = f"stemcore bench --only {name}"
        print(f"\n{name}: {command}")
        started = time.perf_counter()
        figures: list[Figure] = []
        for figure in _figures(name):
            print(
                f"  {figure.name:<52} {figure.value:>14,.{figure.digits}f} {figure.unit:<12} "
                f"{figure.note}",
                flush=True,
            )
            figures.append(figure)
        measured[name] = {
            "command": command,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "seconds": round(time.perf_counter() - started, 1),
            "figures": [figure.to_dict() for figure in figures],
        }
        write_whole(stored, json.dumps({"benchmarks": measured}, indent=2) + "\n")
    print(f"\nstored in {stored}")
