# SPDX-License-Identifier: Apache-2.0
"""Weight files: safetensors with matrices in float16, vectors in float32, and their origin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from stemcore.files import write_whole

from .errors import CheckpointError
from .tensor_file import is_finite, parse_metadata, read_tensors

FOLDER = Path(__file__).resolve().parent / "checkpoints"
# Every weight file of the repository, as `sha256sum` writes it. An installed package has the list,
# and those files of it that its size allows.
LIST = "SHA256SUMS"
_COUNTER = "num_batches_tracked"


def own_checkpoint_path(model: str, dataset: str) -> Path:
    """Where weights that are trained here go, and are looked for first."""
    return Path.cwd() / "checkpoints" / f"{model}-{dataset}.safetensors"


def checkpoint_path(model: str, dataset: str) -> Path:
    """Where the weights of a pair lie, whether or not the file exists.

    In ``checkpoints`` of the working directory, else with the package.
    """
    own = own_checkpoint_path(model, dataset)
    return own if own.is_file() else FOLDER / own.name


def find_checkpoint(model: str, dataset: str) -> Path | None:
    """The weight file of a pair, or None where there is none to be had.

    Raises :exc:`CheckpointError` where the project has weights of the pair and this installation
    has not: nobody should take random ones for them.
    """
    path = checkpoint_path(model, dataset)
    if path.is_file():
        return path
    list_of_all = FOLDER / LIST
    known = list_of_all.read_text().split()[1::2] if list_of_all.is_file() else []
    if path.name in known:
        own = own_checkpoint_path(model, dataset)
        raise CheckpointError(
            f"{path.name}: the weights of {model} on {dataset} must be there; this installation "
            f"leaves them out; copy models/checkpoints/{path.name} of the project's repository to "
            f"{own}, name a file with --checkpoint, or {_how_to_train(path)}"
        )
    return None


def round_for_file(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that a file keeps: kernels and matrices in float16, vectors in float32.

    Batch-norm statistics, factors and biases are vectors; batch-norm's step counter is left out,
    inference does not use it. Raises :exc:`CheckpointError` for a value that is not finite in the
    type that is kept.
    """
    kept = {}
    for name, tensor in state.items():
        if name.endswith(_COUNTER):
            continue
        tensor = tensor.detach().to(torch.float16 if tensor.ndim > 1 else torch.float32)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{name}: every weight must be finite in {tensor.dtype}; NaN, "
                "infinity or an overflow came; train again with a lower rate"
            )
        kept[name] = tensor.contiguous()
    return kept


def save_checkpoint(
    path: Path | str, state: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write a module's state dict in one step, so that a reader never sees half a file.

    metadata : dict with at least ``model`` and ``dataset``; values are stored as JSON text.
    """
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    write_whole(path, save(round_for_file(state), texts))


def read_checkpoint(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """``(state dict of float32 tensors, metadata dict)`` of a weight file.

    Raises :exc:`CheckpointError` when the file is missing, not safetensors, lacks its metadata or
    holds a value that is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path.name}: the weight file must exist; nothing is at {path}; {_how_to_train(path)}"
        )
    try:
        state, texts = read_tensors(path)
        metadata = parse_metadata(texts)
    except ValueError as error:
        raise CheckpointError(
            f"{path.name}: must be a safetensors file with JSON metadata; "
            f"reading it gave {error}; {_how_to_train(path)}"
        ) from error
    missing = [key for key in ("model", "dataset") if key not in metadata]
    if missing:
        raise CheckpointError(
            f"{path.name}: metadata must name model and dataset; "
            f"{' and '.join(missing)} missing; {_how_to_train(path)}"
        )
    for name, tensor in state.items():
        if tensor.is_complex():
            raise CheckpointError(
                f"{path.name}: every weight must be a real number; tensor '{name}' holds "
                f"{tensor.dtype}; {_how_to_train(path)}"
            )
        if not is_finite(tensor):
            raise CheckpointError(
                f"{path.name}: every weight must be finite; tensor '{name}' "
                f"holds NaN or infinity; {_how_to_train(path)}"
            )
    return {name: tensor.float() for name, tensor in state.items()}, metadata


def load_checkpoint(model: str, dataset: str) -> dict[str, torch.Tensor]:
    """State dict of a pair's weights. See :func:`read_checkpoint` for errors."""
    path = checkpoint_path(model, dataset)
    state, metadata = read_checkpoint(path)
    if (metadata["model"], metadata["dataset"]) != (model, dataset):
        raise CheckpointError(
            f"{path.name}: metadata must name {model} on {dataset}; "
            f"{metadata['model']} on {metadata['dataset']} came; "
            f"{_how_to_train(path)}"
        )
    return state


def load_into(module: nn.Module, path: Path | str, model: str | None = None) -> dict[str, Any]:
    """Load a weight file into ``module`` and return the file's metadata.

    model : str or None
        The registered name the file must be of; None admits any model of the same shapes.

    The module is left untouched when anything is wrong. Raises :exc:`CheckpointError` also for
    the weights of another model: by metadata, missing or unknown tensors, or shapes.
    """
    path = Path(path)
    state, metadata = read_checkpoint(path)
    if model is not None and metadata["model"] != model:
        raise CheckpointError(
            f"{path.name}: must hold weights of {model}; those of "
            f"{metadata['model']} came; name the file of {model}"
        )
    own = {
        name: tensor for name, tensor in module.state_dict().items() if not name.endswith(_COUNTER)
    }
    for name in own.keys() | state.keys():
        wanted = tuple(own[name].shape) if name in own else "no such tensor"
        got = tuple(state[name].shape) if name in state else "no such tensor"
        if wanted != got:
            raise CheckpointError(
                f"{path.name}: tensor '{name}' must fit the model, {wanted}; "
                f"{got} came; name the weight file of this model"
            )
    module.load_state_dict(state, strict=False)
    return metadata


def load_matching(module: nn.Module, path: Path | str) -> list[str]:
    """Copy the tensors of a weight file that have a namesake of the same shape in ``module``.

    Returns the names of the parameters and statistics that were left as they are. Raises
    :exc:`CheckpointError` also where nothing matches.
    """
    state, _ = read_checkpoint(path)
    own = {
        name: tensor for name, tensor in module.state_dict().items() if not name.endswith(_COUNTER)
    }
    matching = {
        name: tensor
        for name, tensor in state.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not matching:
        raise CheckpointError(
            f"{Path(path).name}: must share layers with the model; no tensor of "
            "the same name and shape came; name the weights of a model with the "
            "same layers"
        )
    module.load_state_dict(matching, strict=False)
    return sorted(own.keys() - matching.keys())


def _how_to_train(path: Path) -> str:
    """The way out: the command that makes the file, where its name says which one."""
    model, _, dataset = path.stem.rpartition("-")
    # A name with a hash is that of a folder, which only the user can name.
    is_known = model and "." not in dataset
    return (
        f"run 'stemcore train --model {model or '..'} --dataset {dataset if is_known else '..'}' "
        "(make train)"
    )
