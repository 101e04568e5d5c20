# SPDX-License-Identifier: Apache-2.0
"""Exact comparison with a golden model; the first difference is named."""

import numpy as np
from numpy.typing import ArrayLike


def check_equal(name: str, wanted: ArrayLike, got: ArrayLike) -> None:
    """Two integer arrays must have the same shape and the same values.

    Raises ``AssertionError`` with the index of the first difference in row-major order, what was
    wanted there and what came, and how many values differ; ``TypeError`` for what is not integer,
    since equality of rounded numbers says nothing.
    """
    want, have = np.asarray(wanted), np.asarray(got)
    for array in (want, have):
        if array.dtype.kind not in "iub" and array.size:
            raise TypeError(f"{name}: must be compared as integers, got {array.dtype}")
    if want.shape != have.shape:
        raise AssertionError(f"{name}: wanted shape {want.shape}, got {have.shape}")
    differs = np.argwhere(want != have)
    if len(differs):
        index = tuple(differs[0].tolist())
        raise AssertionError(
            f"{name}{list(index)}: wanted {int(want[index])}, got {int(have[index])}; "
            f"{len(differs)} of {want.size} values differ"
        )
