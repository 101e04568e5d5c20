# SPDX-License-Identifier: Apache-2.0
"""Calls that move values and compute none, followed by what they do to an array of positions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

EXAMPLE_IMAGES = 2  # two show that the images of a batch stay apart

MOVES = {
    f"aten.{name}"
    for name in (
        "view.default",
        "_unsafe_view.default",
        "reshape.default",
        "flatten.using_ints",
        "unflatten.int",
        "squeeze.default",
        "squeeze.dim",
        "squeeze.dims",
        "unsqueeze.default",
        "permute.default",
        "transpose.int",
        "movedim.int",
        "swapaxes.default",
        "chunk.default",
        "split.Tensor",
        "split.sizes",
        "split_with_sizes.default",
        "unbind.int",
        "slice.Tensor",
        "select.int",
        "narrow.default",
        "flip.default",
        "roll.default",
        "channel_shuffle.default",
        "pixel_shuffle.default",
        "pixel_unshuffle.default",
        "contiguous.default",
        "clone.default",
        "detach.default",
        "alias.default",
        "lift_fresh_copy.default",
    )
}


@dataclass(frozen=True)
class Moved:
    """A value that holds elements of another, in another arrangement.

    Attributes
    ----------
    source : str
        The value that the elements are of.
    positions : int64 tensor (N, ..) in the value's own shape
        Position of each element in an image of the source, flattened; alike for all N images. For
        calls that give several tensors, a tuple of them.
    fx_node : torch.fx.Node
        The last call that moved it, which names what has to be made of it; None: none did.
    batch : int
        Axis of the images. Only reductions read values in which it is not the first.
    """

    source: str
    positions: "torch.Tensor | tuple[torch.Tensor, ...]"
    fx_node: Any = None
    batch: int = 0


def unmoved(source: str, shape: tuple[int, ...]) -> Moved:
    """A value as it is; ``shape`` with the batch."""
    n_elements = int(np.prod(shape[1:]))
    return Moved(source, torch.arange(n_elements).reshape(1, *shape[1:]).expand(shape))


def move(fx_node: Any, moved: Moved) -> Moved | None:
    """What a call of ``MOVES`` makes of a value; None where images of a batch get mixed."""
    if not isinstance(moved.positions, torch.Tensor) or moved.batch:
        return None
    n_images = moved.positions.shape[0]
    # Sizes that a program computes from its input are those of a batch that is not fixed.
    arguments = torch.fx.node.map_arg(fx_node.args[1:], lambda node: n_images)
    try:
        result = fx_node.target(moved.positions, *arguments, **fx_node.kwargs)
    except RuntimeError:  # of a view over the batch: all images share one array of positions
        return None
    parts = tuple(result) if isinstance(result, (list, tuple)) else (result,)
    for part in parts:
        if part.ndim < 2 or part.shape[0] != n_images or not torch.equal(part, _first(part)):
            return None
    return Moved(moved.source, parts if isinstance(result, (list, tuple)) else result, fx_node)


def _first(part: torch.Tensor) -> torch.Tensor:
    return part[:1].expand_as(part)
