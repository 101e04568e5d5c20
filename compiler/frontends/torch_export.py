# SPDX-License-Identifier: Apache-2.0
"""A program of ``torch.export``, live or in an archive of ``torch.export.save``."""

from pathlib import Path
from typing import cast

from ..errors import CaptureError
from ..frontend.graph import Graph
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """:func:`stemcore.compiler.frontend.capture.capture` of the program."""
    import torch

    from ..frontend.capture import capture

    program = _load(model) if isinstance(model, Path) else model
    return capture(cast(torch.export.ExportedProgram, program), input_shape, name)


def _load(path: Path) -> object:
    import torch

    where = str(path)
    if not path.is_file():
        raise CaptureError(where, "the archive must exist, nothing is there", "check the path")
    try:
        return torch.export.load(path)
    except Exception as error:  # of any kind: the file may hold anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CaptureError(
            where,
            f"must be an archive of torch.export.save; reading it gave {reason}",
            f"export the model again with torch {torch.__version__}",
        ) from error


FRONTEND = Frontend(
    "a torch.export.ExportedProgram or its archive",
    read,
    types=("torch.export.exported_program.ExportedProgram",),
    suffixes=(".pt2",),
)
