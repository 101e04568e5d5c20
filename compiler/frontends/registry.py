# SPDX-License-Identifier: Apache-2.0
"""Finds the frontend that reads a model: by the type of a live object, by the suffix of a file."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stemcore.extras import MissingExtraError

from ..errors import CaptureError, CompileError
from ..frontend.graph import Graph
from ..input_parts import InputSizes

# Files that need one step before they are read, and which; by suffix.
_PICKLED = (
    "it is a pickle, and reading it would run what is in it: load it yourself, then give the "
    "module as file.py:function, or save the weights with "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors') for CHECKPOINT="
)
CONVERSIONS = {
    **dict.fromkeys((".pth", ".pt", ".ckpt", ".bin", ".pkl"), _PICKLED),
    ".jit": "TorchScript is code: give the module it was scripted from, as file.py:function, or "
    "torch.export.save(torch.export.export(module, (images,)), 'net.pt2')",
    **dict.fromkeys(
        (".h5", ".keras"),
        "convert it with python -m tf2onnx.convert --keras net.h5 --inputs-as-nchw INPUT --output "
        "net.onnx (tf2onnx), then MODEL=net.onnx",
    ),
    ".tflite": "convert it with python -m tf2onnx.convert --tflite net.tflite --inputs-as-nchw "
    "INPUT --output net.onnx (tf2onnx), then MODEL=net.onnx",
    ".safetensors": "it holds weights without a network: give the module as file.py:function, and "
    "this file as CHECKPOINT=",
}

# Of one input (C, H, W), (C, L) or (F,); of several a tuple of these, or by name.
Sizes = tuple[int, ...] | InputSizes
Reader = Callable[[object, Sizes | None, str], Graph]


@dataclass(frozen=True)
class Frontend:
    """Reads one kind of model.

    Attributes
    ----------
    name : str
        For messages: what it reads, in words.
    read : callable
        ``read(model, input_shape, name)`` gives the captured graph; ``model`` is an object of one
        of ``types``, or the ``Path`` of a file with one of ``suffixes``; ``input_shape`` is None
        where the model has to know it. Raises ``CaptureError``.
    types : names of classes with their modules, such as ``torch.nn.modules.module.Module``
        Objects of classes derived from them are meant too. Names and not classes, so that a
        library is imported only by those who hold one of its objects.
    suffixes : such as ``.pt2``
    """

    name: str
    read: Reader
    types: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


@cache
def frontends() -> tuple[Frontend, ...]:
    """All frontends, in alphabetical order of their files."""
    package = importlib.import_module(__package__)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    found = tuple(m.FRONTEND for m in modules if hasattr(m, "FRONTEND"))
    claims = [claim for frontend in found for claim in (*frontend.types, *frontend.suffixes)]
    assert len(set(claims)) == len(claims), f"two frontends read the same: {sorted(claims)}"
    return found


def find_frontend(model: object) -> Frontend:
    """The frontend for a live object, or for the path of a file; ``CaptureError`` for none."""
    if isinstance(model, str | Path):
        suffix = Path(model).suffix.lower()
        for frontend in frontends():
            if suffix in frontend.suffixes:
                return frontend
        known = sorted(suffix for frontend in frontends() for suffix in frontend.suffixes)
        raise CaptureError(
            str(model),
            f"a file of a model must end in {' or '.join(known)}, ends in {suffix or 'no suffix'}",
            CONVERSIONS.get(suffix, "export the model, or pass the live module"),
        )
    # The nearest class decides: a kind of module may have a frontend of its own.
    for kind in type(model).__mro__:
        for frontend in frontends():
            if f"{kind.__module__}.{kind.__qualname__}" in frontend.types:
                return frontend
    raise CaptureError(
        "capture",
        f"a model must be {', '.join(f.name for f in frontends())}, got {type(model).__name__}",
        "pass the module itself, or the path of its file",
    )


def read_model(model: object, input_shape: Sizes | None = None, name: str = "network") -> Graph:
    """The captured graph of a model of any kind that has a frontend.

    model : a live object, or the path of a file.
    """
    frontend = find_frontend(model)
    if not isinstance(model, str | Path):
        return frontend.read(model, input_shape, name)
    with reading(Path(model)):
        return frontend.read(Path(model), input_shape, name)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a file makes its reader raise becomes a ``CaptureError`` that names the file."""
    try:
        yield
    except (CompileError, MissingExtraError):
        raise
    except Exception as error:  # of any kind: the file may hold anything
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise CaptureError(
            str(path),
            "its parts must make a network; reading them gave "
            f"{type(error).__name__}{': ' if reason else ''}{reason}",
            "export the model again",
        ) from error
