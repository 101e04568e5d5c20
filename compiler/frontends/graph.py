# SPDX-License-Identifier: Apache-2.0
"""A captured graph that is there already."""

from ..errors import CaptureError
from ..frontend.fx import graph_shape
from ..frontend.graph import Graph, check_graph
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """The graph itself, under its own name."""
    assert isinstance(model, Graph)
    if input_shape is not None and graph_shape(input_shape) != model.input_shape:
        raise CaptureError(
            "capture", f"the graph's input is {model.input_shape}, got {tuple(input_shape)}"
        )
    return check_graph(model)


FRONTEND = Frontend("a captured Graph", read, types=(f"{Graph.__module__}.{Graph.__qualname__}",))
