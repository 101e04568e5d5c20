# SPDX-License-Identifier: Apache-2.0
"""What every operator of the float graph says of itself.

Shapes are (C, H, W) without the batch; flat tensors have the shape (C, 1, 1). Weights are float64
arrays that nobody writes to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from .convolution import Conv
    from .transposed_convolution import TransposedConv

Shape = tuple[int, int, int]
Pair = tuple[int, int]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Finding = tuple[str, str]  # what must hold and what came; what to do


@dataclass(frozen=True)
class Operand:
    """What a check may know of an operand: its shape, and whether it is a flattened image."""

    shape: Shape
    is_flattened: bool


class Operator:
    """Base of all operators, which are frozen dataclasses of their parameters.

    Attributes
    ----------
    is_population : bool
        Whether the result's shape is that of a population of neurons; its size is then checked
        against the coordinates of the chip's packets.
    keeps_flattening : bool
        Whether a flattened operand, whose channels are positions of an image, gives a flattened
        result.
    is_pointwise : bool
        Whether every value of the result is the same function of the operand's value in its place,
        so that the order of values does not matter.
    """

    is_population: ClassVar[bool] = True
    keeps_flattening: ClassVar[bool] = True
    is_pointwise: ClassVar[bool] = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        """Shape of the result for operands of these shapes, which have passed the checks."""
        raise NotImplementedError

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        """Why the operator cannot be compiled; nothing if it can."""
        yield from ()

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """Torch reference: real values (N, C, H, W) from those of the operands, in their type."""
        raise NotImplementedError

    def on_channels(self, first: int, stop: int) -> "Operator | None":
        """The operator for the channels ``first`` up to but not including ``stop`` of its operand
        alone; None where these cannot be told from the others."""
        return None

    def as_convolution(self, source: Shape) -> "Conv | TransposedConv | None":
        """The convolution, transposed perhaps, over an operand of shape ``source`` that computes
        the same, for operators that become one as they are captured; None for all others."""
        return None


@dataclass(frozen=True)
class Place:
    """Where a call stands in the user's model.

    Attributes
    ----------
    modules : tuple of (path, class)
        Modules around the call, the outermost first; classes with the name of their Python module.
    source : str
        File and line of the user's own code, ``net.py:12``; empty where torch alone made the call.
    """

    modules: tuple[tuple[str, str], ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Unsupported(Operator):
    """An operator that cannot be compiled; the compatibility check reports it.

    ``is_consequence`` says that nothing is wrong with the operator but its operand, which an
    unsupported one computes.
    """

    problem: str
    remedy: str
    place: Place = Place()
    is_consequence: bool = False

    is_population = False

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        raise AssertionError("the compatibility check comes before shapes are needed")

    def find_problems(self, operands: Sequence[Operand]) -> Iterator[Finding]:
        yield self.problem, self.remedy


def find_infinite(arrays: Mapping[str, NDArray[np.float64]]) -> Iterator[Finding]:
    """A finding for each of the named arrays that holds NaN or infinity."""
    for what, array in arrays.items():
        n_bad = int(np.size(array) - np.isfinite(array).sum())
        if n_bad:
            yield (
                f"{what} must be finite, {n_bad} of {np.size(array)} are NaN or infinite",
                "load weights of a training that converged",
            )


@dataclass(frozen=True, eq=False)
class Placed:
    """``op`` gives a tensor of ``shape`` (C, H, W), in which the values that are asked for lie at
    ``positions`` of the flattened tensor."""

    op: Operator
    shape: Shape
    positions: IntArray


Arrangement = Callable[[IntArray, Shape], Operator | None]
ARRANGEMENTS: list[Arrangement] = []


def arranges(function: Arrangement) -> Arrangement:
    """Decorator: the function knows an operator that brings values into another order.

    It takes the positions (C, H, W) of a result's values in the flattened source, and the source's
    shape (:func:`stemcore.compiler.frontend.ops.gather.arrangement`), and gives the operator, or
    None where the order is another.
    """
    ARRANGEMENTS.append(function)
    return function
