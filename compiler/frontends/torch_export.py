# SPDX-License-Identifier: Apache-2.0
"""A program of ``torch.export``, live or in an archive of ``torch.export.save``.

Nothing in an archive is executed: :mod:`stemcore.compiler.frontend.archives.torch_archive`.
"""

from pathlib import Path
from typing import cast

from ..frontend.graph import Graph
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """:func:`stemcore.compiler.frontend.capture.capture` of the program."""
    import torch

    from ..frontend.archives.torch_archive import load_program
    from ..frontend.capture import capture

    program = load_program(model) if isinstance(model, Path) else model
    return capture(cast(torch.export.ExportedProgram, program), input_shape, name)


FRONTEND = Frontend(
    "a torch.export.ExportedProgram or its archive",
    read,
    types=("torch.export.exported_program.ExportedProgram",),
    suffixes=(".pt2",),
)
