# SPDX-License-Identifier: Apache-2.0
"""A ``state_dict`` as a plain safetensors file, for a module of the user's own."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from .errors import CheckpointError
from .tensor_file import is_finite, read_tensors

SUFFIX = ".safetensors"
_COUNTER = "num_batches_tracked"  # of batch norm; inference does not use it
_SAVE = "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')"
_LONGEST_LIST = 3


def read_weights(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors of a safetensors file, and its metadata as text.

    Raises :exc:`CheckpointError` where nothing is there, and for every other kind of file: nothing
    is unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path.name}: the weight file must exist; nothing is at {path}; check the path"
        )
    try:
        return read_tensors(path)
    except ValueError as error:
        is_other = path.suffix.lower() != SUFFIX
        what = f"its suffix is {path.suffix or 'none'}" if is_other else f"reading it gave {error}"
        raise CheckpointError(
            f"{path.name}: weights must be a safetensors file, which holds numbers and runs "
            f"nothing; {what}; load the weights as you are used to and save them with {_SAVE}"
        ) from error


def load_weights(module: nn.Module, path: Path | str) -> None:
    """Loads a plain safetensors file into ``module``, as :func:`load_tensors` does."""
    state, _ = read_weights(path)
    load_tensors(module, state, Path(path).name)


def load_tensors(module: nn.Module, state: Mapping[str, torch.Tensor], file: str) -> None:
    """Loads tensors by name into ``module``, in the types that the module has.

    file : where they come from, for errors

    Every tensor of the module must be there in its shape, and nothing else; those that are tied to
    one that is there, and batch norm's counters, may be missing. The module is left untouched when
    anything is wrong. Raises :exc:`CheckpointError` with the nearest name for a name that does not
    fit.
    """
    own = module.state_dict()
    needed = {name for name in own if not name.endswith(_COUNTER)}
    needed -= _tied(own, state.keys())
    unknown, missing = sorted(state.keys() - own.keys()), sorted(needed - state.keys())
    if unknown or missing:
        raise CheckpointError(f"{file}: {_explain_names(unknown, missing, own, state)}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"{file}: tensor '{name}' must have the shape {tuple(own[name].shape)} that "
                f"the model has; {tuple(tensor.shape)} came; build the model as it was trained"
            )
        if tensor.is_complex() and not own[name].is_complex():
            raise CheckpointError(
                f"{file}: tensor '{name}' must hold real numbers, as the model's does; "
                f"{tensor.dtype} came; build the model as it was trained"
            )
        if not is_finite(tensor):
            raise CheckpointError(
                f"{file}: every weight must be finite; tensor '{name}' holds NaN or infinity; "
                "name weights of a training that converged"
            )
    module.load_state_dict(state, strict=False)


def _tied(own: Mapping[str, torch.Tensor], present: Iterable[str]) -> set[str]:
    """Tensors of a module that share all their memory with one of those present."""
    there = {(own[name].data_ptr(), own[name].shape) for name in present if name in own}
    return {name for name, tensor in own.items() if (tensor.data_ptr(), tensor.shape) in there}


def _explain_names(
    unknown: list[str],
    missing: list[str],
    own: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
) -> str:
    """What must hold, which names came, and which name each was probably meant to be."""
    for prefix in {name.partition(".")[0] + "." for name in unknown}:
        if {name.removeprefix(prefix) for name in state} >= set(missing) and missing:
            return (
                f"its names must be those of the model; all of them begin with '{prefix}', as a "
                f"wrapped model's do; save module.{prefix[:-1]}.state_dict() instead"
            )
    parts = []
    if missing:
        parts.append(f"{_listed(missing, state)} missing")
    if unknown:
        parts.append(f"{_listed(unknown, own)} not in the model")
    return (
        f"its names must be those of the model's state_dict; {', and '.join(parts)}; "
        "build the model as it was trained, or rename the tensors"
    )


def _listed(names: list[str], others: Iterable[str]) -> str:
    """The first few names, each with the nearest one of the other side."""
    described = []
    for name in names[:_LONGEST_LIST]:
        near = difflib.get_close_matches(name, list(others), n=1)
        described.append(f"'{name}'" + (f" (nearest: '{near[0]}')" if near else ""))
    rest = len(names) - _LONGEST_LIST
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(described) + more + (" are" if len(names) > 1 else " is")
