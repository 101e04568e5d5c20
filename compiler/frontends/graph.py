# SPDX-License-Identifier: Apache-2.0
"""A captured graph that is there already."""

from collections.abc import Mapping
from typing import cast

from ..errors import CaptureError
from ..frontend.fx import graph_shape
from ..frontend.graph import Graph, check_graph
from ..input_parts import is_several
from .registry import Frontend, Sizes


def read(model: object, input_shape: Sizes | None, name: str) -> Graph:
    """The graph itself, under its own name."""
    assert isinstance(model, Graph)
    if input_shape is not None and not _fits(input_shape, model):
        raise CaptureError(
            "capture", f"the graph's input is {model.input_shape}, got {input_shape}"
        )
    return check_graph(model)


def _fits(given: Sizes, graph: Graph) -> bool:
    if graph.parts:
        sizes = list(given.values()) if isinstance(given, Mapping) else list(given)
        return sizes == [part.sizes for part in graph.parts]
    return not is_several(given) and graph_shape(cast(tuple[int, ...], given)) == graph.input_shape


FRONTEND = Frontend("a captured Graph", read, types=(f"{Graph.__module__}.{Graph.__qualname__}",))
