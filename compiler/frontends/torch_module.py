# SPDX-License-Identifier: Apache-2.0
"""A live torch module, read through ``torch.export``."""

from typing import cast

from ..frontend.graph import Graph
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """:func:`stemcore.compiler.frontend.capture.capture` of the module."""
    import torch

    from ..frontend.capture import capture

    return capture(cast(torch.nn.Module, model), input_shape, name)


FRONTEND = Frontend("a torch.nn.Module", read, types=("torch.nn.modules.module.Module",))
