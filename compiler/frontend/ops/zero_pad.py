# SPDX-License-Identifier: Apache-2.0
"""Zero padding as an operator of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..fx import Call, captures, refuse
from .convolution import Conv
from .operator import FloatArray, Operator, Pair, Shape

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ZeroPad(Operator):
    """Rows and columns of zeros: (y, x) before the first, and after the last."""

    before: Pair
    after: Pair

    is_population = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        channels, height, width = sources[0]
        return (
            channels,
            height + self.before[0] + self.after[0],
            width + self.before[1] + self.after[1],
        )

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        from torch.nn import functional as F

        (above, left), (below, right) = self.before, self.after
        return F.pad(inputs[0], (left, right, above, below))

    def as_convolution(self, source: Shape) -> Conv:
        channels = source[0]
        copy = Conv(np.ones((channels, 1, 1, 1)), np.zeros(channels), groups=channels)
        return self.joined_to(copy)

    def joined_to(self, conv: Conv) -> Conv:
        """The convolution that computes ``conv`` of what this padding makes.

        A convolution pads both sides alike. Where one side needs more, both get that much, and the
        kernel grows by zeros on the other.
        """
        rows, py = _one_axis(conv.padding[0], self.before[0], self.after[0])
        columns, px = _one_axis(conv.padding[1], self.before[1], self.after[1])
        weight: FloatArray = np.pad(conv.weight, ((0, 0), (0, 0), rows, columns))
        return replace(conv, weight=weight, padding=(py, px))


def _one_axis(padding: int, before: int, after: int) -> tuple[Pair, int]:
    """Zeros before and after the kernel, and the padding of both sides."""
    most = padding + max(before, after)
    # A leading zero takes the window one place further to the front than the padding lets it.
    return (most - padding - before, most - padding - after), most


@captures("pad.default", "constant_pad_nd.default")
def _pad(call: Call) -> Operator | None:
    is_constant = "constant" in call.target
    mode = "constant" if is_constant else call.get(2, "mode", "constant")
    value = call.get(2 if is_constant else 3, "value")
    given = list(call.get(1, "pad"))
    if len(call.fx_node.meta["val"].shape) == 3:  # (N, C, L): one row
        given[2:2] = [0, 0]
    sizes = [*given, 0, 0, 0, 0, 0, 0][:6]
    (left, right, above, below), beyond = sizes[:4], sizes[4:]
    if mode != "constant" or value not in (None, 0) or min(sizes) < 0 or any(beyond):
        return refuse(
            call,
            f"must add zeros around images, got mode {mode}, value {value or 0}, sizes {sizes}",
            "pad with zeros, in height and width",
        )
    return ZeroPad((above, left), (below, right)) if any(sizes) else None
