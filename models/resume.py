# SPDX-License-Identifier: Apache-2.0
"""Saving a training run after each epoch, and going on from there. Files hold tensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from stemcore.files import write_whole

from .errors import CheckpointError
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
    kept = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_whole(Path(folder) / STATE_FILE, save(kept, metadata))


def resume_state(folder: Path | str, state: TrainingState, settings: Mapping[str, Any]) -> bool:
    """Fill a new ``state`` from the folder's file. Returns whether there was one.

    Raises :exc:`CheckpointError` for a damaged file or one of a run with other settings.
    """
    path = Path(folder) / STATE_FILE
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        epoch, log = int(metadata["epoch"]), json.loads(metadata["log"])
        before = json.loads(metadata["settings"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path}: must be the state of a training run; reading it gave "
            f"{error}; delete it to start again"
        ) from error
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
    state.module.load_state_dict(_part(tensors, "module/"))
    with torch.no_grad():
        for name, saved in _part(tensors, "momentum/").items():
            state.momenta[name].copy_(saved)
    state.averages = _part(tensors, "average/")
    state.epoch, state.log = epoch, log
    return True


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
