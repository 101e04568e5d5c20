# SPDX-License-Identifier: Apache-2.0
"""Models from outside the project: a Python function, or an archive of ``torch.export``.

A reference to Python code is run as the user's own code, with the user's rights; it is the user who
names it. Only name files and archives that you trust.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .arrays import Shape
from .errors import ModelError
from .stated_input import archive_input, stated_input

ACCEPTED = "path/to/file.py:function or path/to/model.pt2"


@dataclass(frozen=True)
class UserModel:
    """A model that the user brought, with its weights.

    Attributes
    ----------
    name : str
        Short name for folders and reports: the function's, or the archive's stem.
    module : torch.nn.Module
        In evaluation mode; float input (N, C, H, W), of its own float type.
    input_shape : tuple (C, H, W)
    output_shape : tuple
        Of one image's output; ``(classes,)`` for a classifier.
    program : torch.export.ExportedProgram or None
        What the archive held; None for Python code.
    input : str
        What a byte of an image means to it, as :mod:`stemcore.models.stated_input` reads it; empty
        where it does not say.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    output_shape: tuple[int, ...]
    program: torch.export.ExportedProgram | None = None
    input: str = ""


def is_user_model(reference: str) -> bool:
    """Whether ``MODEL`` is a reference for :func:`load_user_model`, not a registered name."""
    return reference.endswith(".pt2") or ".py:" in reference


def load_user_model(reference: str) -> UserModel:
    """The :class:`UserModel` named ``path/to/file.py:function`` or ``path/to/model.pt2``.

    The function takes no argument and returns an ``nn.Module`` with its weights; ``input_shape``,
    three positive integers (C, H, W), is an attribute of the module or of the function. An archive
    carries its input shape.

    Raises :exc:`ModelError` when the reference, the file, the function, what it returns, or a trial
    run on one image is not as it must be.
    """
    if reference.endswith(".pt2"):
        return _load_archive(Path(reference))
    path, colon, function = reference.rpartition(":")
    if not colon or not path.endswith(".py") or not function.isidentifier():
        raise ModelError(
            f"model: must be {ACCEPTED}; {reference!r} came; write it in one of these "
            "forms or choose a registered name"
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
    shape = _checked_shape(shape, where)
    module.eval()
    output = _trial_output(module, (1, *shape), where)
    return UserModel(function, module, shape, output, input=stated_input(where, module, build))


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


def _load_archive(path: Path) -> UserModel:
    where = str(path)
    if not path.is_file():
        raise ModelError(f"{where}: the archive must exist; nothing is there; check the path")
    _register_quantized_operators()
    try:
        program = torch.export.load(path)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{where}: must be an archive of torch.export.save; reading it gave "
            f"{reason}; export the model again with torch "
            f"{torch.__version__}"
        ) from error
    names = program.graph_signature.user_inputs
    inputs = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor) or inputs[0].ndim != 4:
        found = (
            ", ".join(
                str(tuple(x.shape)) if isinstance(x, torch.Tensor) else type(x).__name__
                for x in inputs
            )
            or "none"
        )
        raise ModelError(
            f"{where}: the model must take one tensor (N, C, H, W); {found} came; "
            "export it with one image batch as its only input"
        )
    batch, *sizes = inputs[0].shape
    shape = _checked_shape(sizes, where)
    module = AnyBatch(program.module(), *_batch_limits(batch, program))
    output = _trial_output(module, (1, *shape), where)
    return UserModel(path.stem, module, shape, output, program, archive_input(path))


class AnyBatch(nn.Module):
    """An exported module that takes batches of some sizes, for batches of any size.

    Images are handed on ``most`` at a time; the last of them with zeros up to ``least``, whose
    outputs are dropped. In evaluation mode: an exported module is what it was exported as.
    """

    def __init__(self, module: nn.Module, least: int, most: int | None) -> None:
        super().__init__()
        self.module, self.least, self.most = module, least, most
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (N, ...) of images (N, C, H, W)."""
        size = self.most or max(len(x), 1)
        return torch.cat([self._run(x[i : i + size]) for i in range(0, len(x), size)])

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        missing = max(0, self.least - len(x))
        padded = torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x
        output: torch.Tensor = self.module(padded)
        return output[: len(x)]


def _batch_limits(
    batch: "int | torch.SymInt", program: torch.export.ExportedProgram
) -> tuple[int, int | None]:
    """Fewest and most images that an exported program takes at a time; None for no limit."""
    if isinstance(batch, int):
        return batch, batch
    limits = program.range_constraints.get(batch.node.expr)
    if limits is None:
        return 1, None
    most = limits.upper
    return max(1, int(limits.lower)), int(most) if most.is_Integer else None


def _register_quantized_operators() -> None:
    """Make the operators of quantized graphs known: an archive names them and does not bring them.

    A quantization library that is already imported has done so itself, and twice is an error.
    """
    if not hasattr(torch.ops.quantized_decomposed, "quantize_per_tensor"):
        importlib.import_module("torch.ao.quantization.fx._decomposed")


def _checked_shape(shape: object, where: str) -> Shape:
    if (
        not isinstance(shape, tuple | list)
        or len(shape) != 3
        or not all(isinstance(n, int) and n > 0 for n in shape)
    ):
        raise ModelError(
            f"{where}: input_shape must be three positive integers (C, H, W); "
            f"{shape!r} came; give channels, height and width"
        )
    return tuple(shape)


def float_type(module: nn.Module) -> torch.dtype:
    """The type that the module's floats have, and so its input; float32 where it has none."""
    tensors = [*module.parameters(), *module.buffers()]
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


@torch.no_grad()
def _trial_output(module: nn.Module, batch_shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Shape of one image's output, from a run on zeros."""
    try:
        output = module(torch.zeros(batch_shape, dtype=float_type(module)))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{where}: the model must accept an input of shape {batch_shape}; "
            f"{reason} came; correct input_shape or the model"
        ) from error
    if not isinstance(output, torch.Tensor) or output.ndim < 2:
        came = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ModelError(
            f"{where}: the model must return one tensor with the batch first; "
            f"{came} came; return the logits alone"
        )
    return tuple(output.shape[1:])
