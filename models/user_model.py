# SPDX-License-Identifier: Apache-2.0
"""Models from outside the project as Python code.

Such a reference is run as the user's own code, with the user's rights; it is the user who names it.
Only name code that you trust. Files of models, which are never executed, are read by
:mod:`stemcore.runtime.own_model`.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .errors import ModelError
from .stated_input import stated_input

ACCEPTED = "path/to/file.py:function"


@dataclass(frozen=True)
class UserModel:
    """A model that the user brought, with its weights.

    Attributes
    ----------
    name : str
        Short name for folders and reports: the function's, or the file's stem.
    module : torch.nn.Module
        In evaluation mode; float input (N, C, H, W), of its own float type.
    input_shape : tuple (C, H, W), (C, L) or (F,); of several inputs a tuple of these, or a dict
    output_shape : tuple
        Of one image's output, of several the first; ``(classes,)`` for a classifier.
    input : str
        What a byte of an image means to it, as :mod:`stemcore.models.stated_input` reads it; empty
        where it does not say.
    graph : object
        What the compiler captured from a file; None for Python code.
    """

    name: str
    module: nn.Module
    input_shape: Any
    output_shape: tuple[int, ...]
    input: str = ""
    graph: object = None


def load_user_model(reference: str) -> UserModel:
    """The :class:`UserModel` named ``path/to/file.py:function``.

    The function takes no argument and returns an ``nn.Module`` with its weights; ``input_shape``,
    three positive integers (C, H, W), is an attribute of the module or of the function.

    Raises :exc:`ModelError` when the reference, the file, the function, what it returns, or a trial
    run on one image is not as it must be.
    """
    path, colon, function = reference.rpartition(":")
    if not colon or not path.endswith(".py") or not function.isidentifier():
        raise ModelError(
            f"model: must be {ACCEPTED}; {reference!r} came; write it like this or choose a "
            "registered name"
        )
    return _load_function(Path(path), function, reference)


def _load_function(path: Path, function: str, where: str) -> UserModel:
    if not path.is_file():
        raise ModelError(f"{where}: the file must exist; nothing is at {path}; check the path")
    # A neighbour of the file may be imported, as if the file were run as a script.
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        build, module = _call(path, function, where)
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{where}: the function must return a torch.nn.Module; "
            f"{type(module).__name__} came; return the network itself"
        )
    shape = getattr(module, "input_shape", getattr(build, "input_shape", None))
    if shape is None:
        raise ModelError(
            f"{where}: the module or the function must have an attribute "
            "input_shape; none came; add e.g. "
            f"'{function}.input_shape = (3, 32, 32)'"
        )
    shape = _checked_shapes(shape, where)
    module.eval()
    output = trial_output(module, shape, where)
    return UserModel(function, module, shape, output, stated_input(where, module, build))


def _call(path: Path, function: str, where: str) -> tuple[Callable[[], object], object]:
    """The named function and what it returns."""
    spec = importlib.util.spec_from_file_location(f"stemcore_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a file that ends in .py has a loader"
    code = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(code)
    except Exception as error:
        raise ModelError(
            f"{where}: the file must run without an error; "
            f"{type(error).__name__}: {error} came; run 'python {path}' to see "
            "it"
        ) from error
    build = getattr(code, function, None)
    if not callable(build):
        raise ModelError(
            f"{where}: the file must define the function '{function}'; "
            f"{'nothing of that name' if build is None else type(build).__name__} "
            "came; check the name after the colon"
        )
    try:
        return build, build()
    except Exception as error:
        raise ModelError(
            f"{where}: the function must run without arguments and errors; "
            f"{type(error).__name__}: {error} came; call it yourself to see "
            "it"
        ) from error


def _checked_shapes(shape: object, where: str) -> Any:
    """:func:`checked_shape` of one input, of a tuple of several, or of a dict by their names."""
    if isinstance(shape, dict):
        return {str(name): checked_shape(sizes, where) for name, sizes in shape.items()}
    if isinstance(shape, tuple | list) and any(isinstance(one, tuple | list) for one in shape):
        return tuple(checked_shape(sizes, where) for sizes in shape)
    return checked_shape(shape, where)


def checked_shape(shape: object, where: str) -> tuple[int, ...]:
    """``input_shape`` as (C, H, W), (C, L) or (F,); :exc:`ModelError` for anything else."""
    if (
        not isinstance(shape, tuple | list)
        or len(shape) not in (1, 2, 3)
        or not all(isinstance(n, int) and n > 0 for n in shape)
    ):
        raise ModelError(
            f"{where}: input_shape must be positive integers, (C, H, W) of images, (C, L) of "
            f"sequences or (F,) of vectors; {shape!r} came; leave the batch out"
        )
    return tuple(shape)


def float_type(module: nn.Module) -> torch.dtype:
    """The type that the module's floats have, and so its input; float32 where it has none."""
    tensors = [*module.parameters(), *module.buffers()]
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def _with_batch(shape: Any) -> str:
    if isinstance(shape, dict):
        return " and ".join(f"{name} {(1, *one)}" for name, one in shape.items())
    several = shape if isinstance(shape[0], tuple) else (shape,)
    return " and ".join(str((1, *one)) for one in several)


def _remedy(module: nn.Module, input_shape: Any) -> str:
    """What to do where the module does not accept ``input_shape``."""
    parameters = inspect.signature(module.forward).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in by_place and p.default is p.empty]
    is_one = not isinstance(input_shape, dict) and not isinstance(input_shape[0], tuple)
    if is_one and len(names) > 1:
        shapes = ", ".join([f'"{names[0]}": {input_shape}', *(f'"{n}": ..' for n in names[1:])])
        return f"it takes {len(names)} inputs; set input_shape to a dict of theirs, {{{shapes}}}"
    return "correct input_shape or the model"


@torch.no_grad()
def trial_output(module: nn.Module, input_shape: Any, where: str) -> tuple[int, ...]:
    """Shape of one image's output, of several the first, from a run on zeros.

    input_shape : as :class:`UserModel` has it
    """
    kind = float_type(module)
    is_several = isinstance(input_shape, tuple) and isinstance(input_shape[0], tuple)
    try:
        if isinstance(input_shape, dict):
            zeros = {n: torch.zeros(1, *one, dtype=kind) for n, one in input_shape.items()}
            output = module(**zeros)
        else:
            shapes = input_shape if is_several else (input_shape,)
            output = module(*(torch.zeros(1, *one, dtype=kind) for one in shapes))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{where}: the model must accept an input of shape {_with_batch(input_shape)}; "
            f"{reason} came; {_remedy(module, input_shape)}"
        ) from error
    found = [leaf for leaf in tree_leaves(output) if leaf is not None]
    output = found[0] if found else output
    is_index = isinstance(output, torch.Tensor) and output.ndim and not output.is_floating_point()
    if not isinstance(output, torch.Tensor) or (output.ndim < 2 and not is_index):
        came = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ModelError(
            f"{where}: the model must return tensors with the batch first, one or several in "
            f"tuples, lists and dicts; {came} came; return the logits first"
        )
    return tuple(output.shape[1:])
