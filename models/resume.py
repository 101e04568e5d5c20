# SPDX-License-Identifier: Apache-2.0
"""Saving a training run after each epoch, and going on from there. Files hold tensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from stemcore.files import write_whole

from .errors import CheckpointError
from .tensor_file import is_finite, parse_metadata, read_tensors
from .trainer import TrainingState

STATE_FILE = "state.safetensors"


def save_state(folder: Path | str, state: TrainingState, settings: Mapping[str, Any]) -> None:
    """Write ``state`` in one step to ``folder/state.safetensors``.

    settings : JSON-able dict that names the run; a run resumes only under equal settings.
    """
    tensors = {f"module/{name}": t for name, t in state.module.state_dict().items()}
    tensors |= {f"momentum/{name}": t for name, t in state.momenta.items()}
    tensors |= {f"average/{name}": t for name, t in state.averages.items()}
    metadata = {
        "settings": json.dumps(settings, sort_keys=True),
        "epoch": str(state.epoch),
        "log": json.dumps(state.log),
    }
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise CheckpointError(
                f"training: every weight must be finite; NaN or infinity came in {name!r} in epoch "
                f"{state.epoch}, of which nothing is kept; train with a lower rate or penalty"
            )
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(Path(folder) / STATE_FILE, save(kept, metadata))


def resume_state(folder: Path | str, state: TrainingState, settings: Mapping[str, Any]) -> bool:
    """Fill a new ``state`` from the folder's file. Returns whether there was one.

    Raises :exc:`CheckpointError` for a damaged file or one of a run with other settings.
    """
    path = Path(folder) / STATE_FILE
    if not path.is_file():
        return False
    try:
        tensors, texts = read_tensors(path)
        metadata = parse_metadata(texts)
        epoch, log, before = metadata["epoch"], metadata["log"], metadata["settings"]
        if type(epoch) is not int or not isinstance(log, list) or len(log) != epoch:
            raise ValueError("a log that does not have an entry for each epoch")
        if not isinstance(before, dict):
            raise ValueError("settings that are none")
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    wanted = json.loads(json.dumps(settings))
    changed = [
        key for key in sorted(wanted.keys() | before.keys()) if wanted.get(key) != before.get(key)
    ]
    if changed:
        text = ", ".join(f"{key} {before.get(key)!r} now {wanted.get(key)!r}" for key in changed)
        raise CheckpointError(
            f"{path}: an interrupted run must go on under its own settings; "
            f"changed: {text}; repeat the old ones or delete the file to start "
            "again"
        )
    if problem := _problem(state, tensors):
        raise _damaged(path, problem)
    state.module.load_state_dict(_part(tensors, "module/"))
    with torch.no_grad():
        for name, saved in _part(tensors, "momentum/").items():
            state.momenta[name].copy_(saved)
    state.averages = _part(tensors, "average/")
    state.epoch, state.log = epoch, log
    return True


def _damaged(path: Path, reason: object) -> CheckpointError:
    return CheckpointError(
        f"{path}: must be the state of a training run; reading it gave {reason}; delete it to "
        "start again"
    )


def _problem(state: TrainingState, tensors: Mapping[str, torch.Tensor]) -> str:
    """Why tensors cannot be those of a new state that was trained; empty where they can."""
    wanted = {f"module/{name}": t for name, t in state.module.state_dict().items()}
    wanted |= {f"momentum/{name}": t for name, t in state.momenta.items()}
    found = {name: t for name, t in tensors.items() if not name.startswith("average/")}
    for name in sorted(wanted.keys() | found.keys()):
        fits = name in wanted and name in found and wanted[name].shape == found[name].shape
        if not fits:
            return f"tensor {name!r}, which does not fit the model"
    for name, tensor in tensors.items():
        if tensor.is_complex() or not is_finite(tensor):
            return f"NaN, infinity or complex numbers in {name!r}"
    return ""


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
