# SPDX-License-Identifier: Apache-2.0
"""What one population of neurons computes: the operator that all others become."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemcore.golden.network.taps import Taps

from .clamp import Clamp
from .convolution import convolution_shape
from .fake_quantize import FakeQuantize
from .operator import Finding, FloatArray, Operand, Operator, Pair, Shape, find_infinite
from .pointwise import Pointwise
from .pooling import MaxPool, UnevenMaxPool
from .tap_convolution import tap_convolution

if TYPE_CHECKING:
    import torch

LEARNED, IDENTITY, AVERAGE = "learned", "identity", "average"


@dataclass(frozen=True, eq=False)
class Branch:
    """One connection of a layer: a grouped convolution without bias.

    ``kind`` says how its weights may be quantized: LEARNED ones get a scale each; IDENTITY is 1 x 1
    depthwise with weights 1; AVERAGE is depthwise with one constant for all. ``rows`` and
    ``columns``, where there are any, take the place of stride and padding, as in
    :class:`stemcore.golden.network.network.Connection`; both or none. ``step`` (O,) is the scale of
    weights that are integers already. ``channels``, where it begins at some of the source's: the
    first one, and the one after the last.
    """

    source: str
    weight: FloatArray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    kind: str = LEARNED
    rows: Taps | None = None
    columns: Taps | None = None
    step: FloatArray | None = None
    channels: Pair | None = None

    def read(self, source: "torch.Tensor") -> "torch.Tensor":
        """The channels of a source that the connection begins at."""
        return source if self.channels is None else source[:, slice(*self.channels)]

    @property
    def taps(self) -> tuple[Taps, Taps] | None:
        """Both, where there are any."""
        if self.rows is None or self.columns is None:
            return None
        return self.rows, self.columns

    @property
    def n_terms(self) -> int:
        """The most values of a channel that meet in one output."""
        kernel = self.weight.shape[2:]
        if self.taps is None:
            return int(kernel[0] * kernel[1])
        most = [taps.terms(k).sum(axis=1).max() for taps, k in zip(self.taps, kernel, strict=True)]
        return int(most[0] * most[1])

    def output_shape(self, source: Shape) -> Shape:
        """Shape of what the connection adds, for a source of shape (C, H, W)."""
        if self.taps is not None:
            rows, columns = self.taps
            return len(self.weight), rows.n_outputs, columns.n_outputs
        return convolution_shape(source, self.weight, self.stride, self.padding)


@dataclass(frozen=True, eq=False)
class Layer(Operator):
    """Sum of the connections and a bias (C,), then clamp or functions, rounding, max pooling.

    ``shape`` is that of the sum, before pooling; layers of quantized models have a rounding.
    ``function``: functions of one value (:mod:`.pointwise`), and clamps among them, the first one
    first; there is no ``clamp`` then. In quantized models the first one may be the rounding of the
    sum that they are applied to.
    """

    branches: tuple[Branch, ...]
    bias: FloatArray
    shape: Shape
    clamp: Clamp | None = None
    pool: MaxPool | UnevenMaxPool | None = None
    rounding: FakeQuantize | None = None
    function: tuple[Pointwise | Clamp | FakeQuantize, ...] = ()

    keeps_flattening = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return self.shape if self.pool is None else self.pool.output_shape([self.shape])

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        weights = {f"weights of {i}": branch.weight for i, branch in enumerate(self.branches)}
        yield from find_infinite({**weights, "bias": self.bias})

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        total = self.sums(inputs)
        for step in (self.clamp, *self.function, self.rounding):
            total = total if step is None else step.run([total])
        return total if self.pool is None else self.pool.run([total])

    def sums(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """What the connections and the bias add up to."""
        import torch
        from torch.nn import functional as F

        total = inputs[0].new_tensor(self.bias)[:, None, None]
        for branch, source in zip(self.branches, inputs, strict=True):
            weight, source = source.new_tensor(branch.weight), branch.read(source)
            divisor = 1
            if branch.kind == AVERAGE and self.rounding is not None:
                # A mean halfway between two integers stays there only if the sum is divided once.
                divisor, weight = round(1 / float(branch.weight.flat[0])), torch.ones_like(weight)
            if branch.taps is not None:
                added = tap_convolution(source, weight, *branch.taps, branch.groups)
            else:
                added = F.conv2d(
                    source, weight, None, branch.stride, branch.padding, 1, branch.groups
                )
            total = total + added / divisor
        return total
