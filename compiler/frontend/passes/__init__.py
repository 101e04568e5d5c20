# SPDX-License-Identifier: Apache-2.0
"""Graph to graph: from captured operators to layers of neurons.

Every pass keeps what the graph computes, leaves it runnable and returns a new one.
"""

from ..graph import Graph, check_shapes
from .concat import split_concat
from .convolutions import absorb_padding, make_convolutions
from .expand import expand
from .input_parts import read_input_parts
from .merge import fuse_functions, fuse_max_pool, merge_addition
from .normalize import (
    absorb_flatten,
    fold_batch_norm,
    hoist_batch_norm,
    hoist_functions,
    make_layers,
)
from .positions import absorb_unflatten, add_offsets
from .products import absorb_constants
from .rounding import fuse_indices, fuse_rounding, hoist_rounding
from .stage_windows import stage_windows

PIPELINE = (
    expand,
    absorb_constants,
    absorb_padding,
    stage_windows,
    absorb_unflatten,
    add_offsets,
    make_convolutions,
    hoist_batch_norm,
    fold_batch_norm,
    split_concat,
    hoist_functions,
    hoist_rounding,
    absorb_flatten,
    make_layers,
    merge_addition,
    fuse_functions,
    fuse_rounding,
    fuse_indices,
    fuse_max_pool,
    read_input_parts,
)


def form_layers(graph: Graph) -> Graph:
    """All passes in order; afterwards every node is a ``Layer``."""
    for step in PIPELINE:
        graph = check_shapes(step(graph))
    return graph
