# SPDX-License-Identifier: Apache-2.0
"""The user's own models: Python code that is run, or files that are read and never executed."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from stemcore.compiler.frontend.archives.torch_archive import load_program
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.compatibility import check_compatible
from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.frontends.registry import (
    CONVERSIONS,
    find_frontend,
    frontends,
    read_model,
    reading,
)
from stemcore.models.errors import ModelError
from stemcore.models.stated_input import archive_input
from stemcore.models.user_model import UserModel, checked_shape, load_user_model, trial_output

ARCHIVE = ".pt2"


def is_own_model(reference: str) -> bool:
    """Whether ``MODEL`` is a reference for :func:`load_own_model`, not a registered name."""
    suffixes = {suffix for frontend in frontends() for suffix in frontend.suffixes}
    return ".py:" in reference or Path(reference).suffix.lower() in {*suffixes, *CONVERSIONS}


def is_own_file(reference: str) -> bool:
    """Whether it is the file of a model, not Python code."""
    return is_own_model(reference) and ".py:" not in reference


def load_own_model(reference: str) -> UserModel:
    """The model named ``path/to/file.py:function``, ``path/to/model.pt2`` and so on.

    A file is captured and checked before anything of it is evaluated. Raises ``ModelError`` or
    ``CompileError``.
    """
    if not is_own_file(reference):
        return load_user_model(reference)
    path = Path(reference)
    find_frontend(path)
    return _load_archive(path) if path.suffix.lower() == ARCHIVE else _load_graph(path)


def _load_archive(path: Path) -> UserModel:
    where = str(path)
    program = load_program(path)
    names = program.graph_signature.user_inputs
    inputs = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(inputs) > 1 and all(isinstance(x, torch.Tensor) for x in inputs):
        return _load_several(path, program)
    is_one = len(inputs) == 1 and isinstance(inputs[0], torch.Tensor)
    if not is_one or inputs[0].ndim not in (2, 3, 4):
        found = (
            ", ".join(
                str(tuple(x.shape)) if isinstance(x, torch.Tensor) else type(x).__name__
                for x in inputs
            )
            or "none"
        )
        raise ModelError(
            f"{where}: the model must take one tensor (N, C, H, W), (N, C, L) or (N, F); {found} "
            "came; export it with one batch as its only input"
        )
    batch, *sizes = inputs[0].shape
    shape = checked_shape(sizes, where)
    with reading(path):
        graph = capture(program)
        check_compatible(graph)
        module = AnyBatch(program.module(), *_batch_limits(batch, program))
    output = trial_output(module, shape, where)
    return UserModel(path.stem, module, shape, output, archive_input(path), graph)


def _load_several(path: Path, program: torch.export.ExportedProgram) -> UserModel:
    """An archive of a model with several inputs; its graph takes the place of the module."""
    with reading(path):
        graph = capture(program)
        check_compatible(graph)
    return _user_graph(path, graph, archive_input(path))


def _load_graph(path: Path) -> UserModel:
    graph = read_model(path)
    check_compatible(graph)
    return _user_graph(path, graph)


def _user_graph(path: Path, graph: Graph, said: str = "") -> UserModel:
    module = GraphModule(graph)
    output = trial_output(module, graph.input_shape, str(path))
    shapes = {part.name: part.sizes for part in graph.parts} or graph.input_shape
    return UserModel(path.stem, module, shapes, output, said, graph)


class GraphModule(nn.Module):
    """A captured graph as a module in evaluation mode, without its tail; flat outputs have the
    shape (N, F)."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Real outputs of images (N, C, H, W); the first output of several."""
        output = run_graph(self.graph, x)[self.graph.output]
        return output.flatten(1) if tuple(output.shape[2:]) == (1, 1) else output


class AnyBatch(nn.Module):
    """An exported module that takes batches of some sizes, for batches of any size.

    Images are handed on ``most`` at a time; the last of them with zeros up to ``least``, whose
    outputs are dropped. In evaluation mode: an exported module is what it was exported as.
    """

    def __init__(self, module: nn.Module, least: int, most: int | None) -> None:
        super().__init__()
        self.module, self.least, self.most = module, least, most
        self.training = False

    def forward(self, x: torch.Tensor) -> Any:
        """Outputs (N, ...) of images (N, C, H, W), as the module returns them."""
        size = self.most or max(len(x), 1)
        parts = [self._run(x[i : i + size]) for i in range(0, len(x), size)]
        return tree_map(lambda *several: torch.cat(several), *parts)

    def _run(self, x: torch.Tensor) -> Any:
        missing = max(0, self.least - len(x))
        padded = torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x
        return tree_map(lambda one: one[: len(x)], self.module(padded))


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
