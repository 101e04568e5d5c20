# SPDX-License-Identifier: Apache-2.0
"""What a model did, spike by spike: the common form in which runs are compared."""

from typing import NamedTuple


class TraceEntry(NamedTuple):
    """One neuron at one time step while its core fires.

    ``v`` is what is left of the activation (modulo ``2**T``) when it meets the threshold
    ``2**(T-1-step)``; ``spike`` is ``v >= threshold`` (see
    :func:`stemcore.golden.arithmetic.stem.fire`).
    """

    step: int
    core: tuple[int, int]  # column, row
    neuron: tuple[int, int, int]  # channel, row, column
    v: int
    spike: int
