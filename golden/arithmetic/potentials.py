# SPDX-License-Identifier: Apache-2.0
"""A neuron model's equation (:mod:`stemcore.golden.spec.neurons`) on arrays of sums."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..spec.neuron_model import Neuron
from ..spec.neurons import model_of

Potentials = NDArray[np.signedinteger]


def update(
    neuron: Neuron, v: Potentials | None, sums: ArrayLike, t: int, n_periods: int
) -> Potentials:
    """Potentials after token period ``t`` of a sample, from those before and the period's sums.

    v : what the call for ``t - 1`` returned; None for ``t = 0``
    sums : whole numbers that fit the model's accumulators, any shape and type
    Returns integers of the same shape, a new array.
    """
    assert t == 0 or v is not None, "only a sample's first period starts from nothing"
    # Twice 16 bits hold what becomes of a 16-bit sum and a 16-bit constant; wider sums need more.
    is_narrow = model_of(neuron).acc_width is not None
    i = np.asarray(sums).astype(np.int32 if is_narrow else np.int64)
    result: Potentials = neuron.update(v, i, t, n_periods)
    return result
