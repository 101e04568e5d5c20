# SPDX-License-Identifier: Apache-2.0
"""Activation tables of pointwise functions: which sums get an index of their own, and its entry.

A layer that ends in a function is requantized to an index k of as many bits and of the same sign as
its output: ``k = clamp(round(sum / step) + zero)``, where ``zero``, the index of the sum 0, is an
integer that goes into the bias. The entry of the table is the output nearest to the function of
``(k - zero) * step``. Nothing of this is new to the core: it is its requantization and its table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from stemcore.golden.arithmetic.activation_tables import identity
from stemcore.golden.spec.integers import limits

from ..frontend.ops.clamp import Clamp
from ..frontend.ops.fake_quantize import FakeQuantize
from ..frontend.ops.layer import Layer
from ..frontend.ops.operator import FloatArray
from ..frontend.ops.pointwise import Pointwise
from .quantized import IntArray
from .scales import power_above

Function = Pointwise | Clamp | FakeQuantize
SAMPLES = 1 << 17  # sums that the choice of an index rests on
SPARE_COST = 4.0  # factor of the squared error that keeps an index without a spare
# Of the step that covers all sums: what is tried.
_EXACT_SHARES = 2.0 ** np.arange(3, -6, -1)
_SHARES = np.concatenate([[8.0, 4.0, 2.0], np.linspace(1.0, 0.15, 12)])
_MARGIN = 1 / 8  # of the range of all sums, between it and the spare index


@dataclass(frozen=True)
class OutputCode:
    """Of a layer's output: bits, sign, real value of one unit."""

    bits: int
    is_signed: bool
    scale: float


@dataclass(frozen=True)
class Index:
    """Which sums have an index of their own: ``k = round(sum / step) + zero``.

    ``has_spare``: the smallest index stands for the output 0, whatever the function says. It is for
    neurons that are none (below), and lies under all sums of calibration.
    """

    step: float
    zero: int
    has_spare: bool = False

    def with_step(self, step: float, code: OutputCode) -> "Index":
        """The same sums in the middle, with another step."""
        low, high = limits(code.bits, code.is_signed)
        middle = (low + high) / 2
        zero = round(middle - (middle - self.zero) * self.step / step)
        return replace(self, step=step, zero=zero)


def evaluate(functions: Sequence[Function], values: FloatArray) -> FloatArray:
    """A chain of functions of real values, in float64."""
    x = torch.from_numpy(np.ascontiguousarray(values, np.float64))
    with torch.no_grad():
        for function in functions:
            x = function.run([x])
    result: FloatArray = x.numpy()
    return result


def function_table(functions: Sequence[Function], index: Index, code: OutputCode) -> IntArray:
    """Entries by the low bits of the index; halves are rounded to even."""
    k = identity(code.bits, code.is_signed)
    low, high = limits(code.bits, code.is_signed)
    real = evaluate(functions, (k - index.zero) * np.float64(index.step))
    table = np.clip(np.rint(real / code.scale), low, high).astype(np.int64)
    if index.has_spare:
        table[k == low] = 0
    return table


def choose_index(
    functions: Sequence[Function],
    sums: FloatArray,
    code: OutputCode,
    *,
    is_exact: bool,
    is_widest: bool,
) -> Index:
    """The index with the least squared error of the output over calibration sums.

    ``is_exact``: steps are powers of two; ``is_widest``: no sum is clipped.

    Where channels do not fill the last block of a core's lanes, the idle lanes need an index whose
    entry is 0. A function that has none within reach (a sigmoid of small sums) gets a spare one,
    unless reaching further costs less than 6 dB.
    """
    wanted = evaluate(functions, sums)
    best: tuple[bool, float, Index] | None = None
    for index in _candidates(sums, code, is_exact=is_exact, is_widest=is_widest):
        table = function_table(functions, index, code)
        low, high = limits(code.bits, code.is_signed)
        k = np.clip(np.rint(sums / index.step) + index.zero, low, high).astype(np.int64)
        found = table[k & (len(table) - 1)] * code.scale
        error = float(np.square(found - wanted).sum())
        rank = not (table == 0).any(), error * (SPARE_COST if index.has_spare else 1.0)
        if best is None or rank < best[:2]:
            best = *rank, index
    assert best is not None
    return best[2]


def _candidates(
    sums: FloatArray, code: OutputCode, *, is_exact: bool, is_widest: bool
) -> list[Index]:
    """Steps from the one that covers all sums downwards; each at their middle and their ends."""
    least, most = float(sums.min(initial=0.0)), float(sums.max(initial=0.0))
    low, high = limits(code.bits, code.is_signed)
    covering = ((most - least) or 1.0) / (high - low)
    steps = float(power_above(covering)) * _EXACT_SHARES if is_exact else covering * _SHARES
    found = []
    for step in steps[steps >= covering] if is_widest else steps:
        zeros = (
            (low + high) / 2 - (least + most) / 2 / step,  # the middle of all sums
            (low + high) / 2,  # as many below zero as above
            high - most / step,  # the largest sums
            low - least / step,  # the smallest
        )
        found += [Index(float(step), zero) for zero in dict.fromkeys(round(z) for z in zeros)]
    below = least - (most - least) * _MARGIN
    step = ((most - below) or 1.0) / (high - low - 1)
    step = float(power_above(step)) if is_exact else step
    return [*found, Index(step, round(low + 1 - below / step), has_spare=True)]


def index_layer(layer: Layer, index: Index) -> Layer:
    """The layer that computes the index alone."""
    return replace(layer, bias=layer.bias + index.zero * index.step, function=())


def describe(functions: Sequence[Function]) -> str:
    """A chain in words."""
    return ", ".join(function.describe() for function in functions)
