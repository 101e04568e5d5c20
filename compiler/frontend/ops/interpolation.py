# SPDX-License-Identifier: Apache-2.0
"""Interpolation to another size: nearest, linear and cubic, with any of torch's conventions."""

from typing import Any

import numpy as np

from ..fx import Call, captures
from .operator import FloatArray, Operator
from .resample import Resample

LEAST = 1e-9  # weights below it are what float64 leaves of zero


def _matrix(call: Call, axis: int) -> FloatArray:
    """Weights (outputs, size) of rows (axis 0) or columns (axis 1): what torch makes of unit rows.

    An interpolation of a constant is that constant, so that the other axis is left out.
    """
    import torch

    rank = len(call.fx_node.meta["val"].shape) - 2
    height, width = call.sources[0][1:]
    size = (height, width)[axis]
    unit = torch.eye(size, dtype=torch.float64)
    basis: Any = unit[:, :, None] if axis == 0 else unit[:, None, :]
    basis = basis.expand(size, height, width)[None]
    arguments = call.fx_node.args[1:]
    with torch.no_grad():
        image = basis if rank == 2 else basis[:, :, 0]
        result = call.fx_node.target(image, *arguments, **call.fx_node.kwargs)
    result = result if rank == 2 else result[:, :, None]
    rows = result[0, :, :, 0] if axis == 0 else result[0, :, 0, :]
    matrix: FloatArray = rows.numpy().T.copy()
    return np.where(np.abs(matrix) < LEAST, 0.0, matrix)


@captures(
    "upsample_nearest1d.default",
    "upsample_nearest1d.vec",
    "upsample_nearest2d.default",
    "upsample_nearest2d.vec",
    "_upsample_nearest_exact1d.default",
    "_upsample_nearest_exact1d.vec",
    "_upsample_nearest_exact2d.default",
    "_upsample_nearest_exact2d.vec",
    "upsample_linear1d.default",
    "upsample_linear1d.vec",
    "upsample_bilinear2d.default",
    "upsample_bilinear2d.vec",
    "_upsample_bilinear2d_aa.default",
    "_upsample_bilinear2d_aa.vec",
    "upsample_bicubic2d.default",
    "upsample_bicubic2d.vec",
    "_upsample_bicubic2d_aa.default",
    "_upsample_bicubic2d_aa.vec",
)
def _interpolate(call: Call) -> Operator:
    return Resample(_matrix(call, 0), _matrix(call, 1))
