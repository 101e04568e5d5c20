# SPDX-License-Identifier: Apache-2.0
"""Functions of one value that an activation table computes from a signed sum.

The soma requantizes the sum to an index of as many bits as the output has, and the layer's
activation table gives the output for each index: any function of one value will do, and each is a
file of this folder. See :mod:`stemcore.compiler.quantization.quantize_function`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .operator import Operator, Shape

if TYPE_CHECKING:
    import torch


class Pointwise(Operator):
    """Base of these functions: :meth:`value` is all that one has to define.

    Attributes
    ----------
    is_increasing : bool
        Whether a larger operand never gives a smaller result; the function then changes places
        with max pooling.
    is_positive : bool
        Whether no result is below zero.
    """

    is_pointwise = True
    is_pointwise = True
    is_increasing: ClassVar[bool] = True
    is_positive: ClassVar[bool] = False

    def value(self, x: "torch.Tensor") -> "torch.Tensor":
        """The function of real values of any shape, in their type."""
        raise NotImplementedError

    def lowest(self, low: float) -> float:
        """A bound below the results for operands of ``low`` and more."""
        # All functions of the folder are zero or above for operands of zero and above.
        return 0.0 if self.is_positive or low >= 0 else -math.inf

    def describe(self) -> str:
        """Its name, as a report shows it."""
        return type(self).__name__

    def output_shape(self, sources: Sequence[Shape]) -> Shape:
        return sources[0]

    def run(self, inputs: "Sequence[torch.Tensor]") -> "torch.Tensor":
        (x,) = inputs
        return self.value(x)

    def on_channels(self, first: int, stop: int) -> "Operator":
        return self


def number(value: Any, default: float) -> float:
    """An argument of a call as a number; what torch takes where it is left out."""
    return default if value is None else float(value)
