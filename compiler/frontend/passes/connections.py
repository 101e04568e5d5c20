# SPDX-License-Identifier: Apache-2.0
"""Branches of a layer: what each kind of operator adds to the sum of a neuron."""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.taps import no_taps, transposed_taps

from ..ops.convolution import Conv
from ..ops.layer import AVERAGE, IDENTITY, LEARNED, Branch
from ..ops.offset import One
from ..ops.operator import Operator, Shape
from ..ops.pooling import AveragePool
from ..ops.resample import Resample, is_copy, matrix_taps
from ..ops.transposed_convolution import TransposedConv

LINEAR = (Conv, TransposedConv, AveragePool, Resample, One)  # what a branch computes, bias apart


def branch_of(op: Operator, source: str, shape: Shape) -> Branch:
    """The branch that computes an operator of ``LINEAR`` over a source of shape (C, H, W)."""
    if isinstance(op, Conv):
        return Branch(source, op.weight, op.stride, op.padding, op.groups, step=op.step)
    if isinstance(op, TransposedConv):
        rows, columns = (
            transposed_taps(
                shape[1 + i], op.weight.shape[2 + i], op.stride[i], op.padding[i], op.extra[i]
            )
            for i in (0, 1)
        )
        return Branch(source, op.weight, groups=op.groups, rows=rows, columns=columns, step=op.step)
    if isinstance(op, AveragePool):
        weight = np.full((shape[0], 1, *op.kernel), 1.0 / op.divisor)
        return Branch(source, weight, op.stride, op.padding, shape[0], AVERAGE)
    if isinstance(op, One):
        rows, columns = (no_taps(size) for size in shape[1:])
        return Branch(source, np.zeros((1, shape[0], 1, 1)), rows=rows, columns=columns)
    assert isinstance(op, Resample)
    (rows, by_row), (columns, by_column) = matrix_taps(op.rows), matrix_taps(op.columns)
    kernel = np.outer(by_row, by_column)
    return Branch(
        source,
        np.tile(kernel, (shape[0], 1, 1, 1)),
        groups=shape[0],
        kind=_resample_kind(op, kernel),
        rows=rows,
        columns=columns,
    )


def _resample_kind(op: Resample, kernel: np.ndarray) -> str:
    if is_copy(op.rows, op.columns) and kernel.shape == (1, 1):
        return IDENTITY
    weight = float(kernel.flat[0])
    divides = kernel.shape == (1, 1) and weight > 0 and abs(1 / weight - round(1 / weight)) < 1e-9
    return AVERAGE if divides else LEARNED


def identity(source: str, shape: Shape) -> Branch:
    """The connection that passes a population on."""
    return Branch(source, np.ones((shape[0], 1, 1, 1)), groups=shape[0], kind=IDENTITY)


def scaled_identity(source: str, shape: Shape, factor: float) -> Branch:
    """The connection that adds ``factor`` times a population."""
    branch = identity(source, shape)
    if factor == 1:
        return branch
    return replace(branch, weight=branch.weight * factor, kind=LEARNED)
