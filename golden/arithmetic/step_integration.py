# SPDX-License-Identifier: Apache-2.0
"""Integration in 16 bits: a weight sum and an update of the membrane potential per time step.

The exact form adds every weight shifted by its time step, which takes wide accumulators. The forms
here add it unshifted to a 16-bit sum ``I[t]`` (eq. 14; negative at t = 0 where the source is
signed) and update a 16-bit potential ``V`` when the time step is complete:

``Scaled``  ``V[t] = sat16(2 V[t-1] + round_half_even(k1 I[t]))``, the paper's (eqs. 16, 18)
``Late``    ``V[t] = sat16(2 V[t-1] + I[t])`` for ``t <= T-1-r``, and
            ``V[t] = sat16(V[t-1] + (I[t] >> (t - (T-1-r))))`` after that, with an arithmetic shift

from ``V[-1] = 0``. Then ``V[T-1]`` takes the place of the exact sum in
:func:`stemcore.golden.arithmetic.fixed.requantize`, whose multiplier and shift are k2 (eqs. 17, 19)
and whose bias holds, for ``Late``, what the shifts drop on average.

``I[t]`` wraps to 16 bits, so that the order of the spikes does not matter; it has to fit. The
compiler proves that it does or bounds it by calibration; the models raise an error, the gateware's
overflow flag tells. ``V`` saturates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..spec.integers import signed_limits
from ..spec.params import MULTIPLIER_WIDTH, STEP_WIDTH, ChipParams
from .fixed import round_half_even_shift_one

LOWEST, HIGHEST = signed_limits(STEP_WIDTH)
MAX_SCALE_SHIFT = 31  # of k1: a 16-bit multiplier and 16 bits below one
MAX_LATE_SHIFT = 15


@dataclass(frozen=True)
class Scaled:
    """``k1 = multiplier / 2**shift``, at most 1.

    ``multiplier`` is 1 (a shift alone; all that a core without multipliers can do) or of 16 bits.
    """

    multiplier: int = 1
    shift: int = 0

    def __post_init__(self) -> None:
        if not (
            1 <= self.multiplier < 1 << MULTIPLIER_WIDTH
            and 0 <= self.shift <= MAX_SCALE_SHIFT
            and self.multiplier <= 1 << self.shift
        ):
            raise ValueError(
                f"Scaled: multiplier must lie in 1..{(1 << MULTIPLIER_WIDTH) - 1} and shift in "
                f"0..{MAX_SCALE_SHIFT}, k1 must not exceed 1; got {self.multiplier} / "
                f"2**{self.shift}"
            )


@dataclass(frozen=True)
class Late:
    """``shift`` is r: how many bits the last time steps are short of doubling."""

    shift: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= MAX_LATE_SHIFT:
            raise ValueError(f"Late: shift must lie in 0..{MAX_LATE_SHIFT}, got {self.shift}")


Integration = Scaled | Late


def read_integration(params: ChipParams, fields: Mapping[str, int]) -> Integration:
    """Constants of a core from the fields of its register; ``ValueError`` for impossible ones."""
    if params.integration == "late":
        return Late(fields["shift"])
    return Scaled(fields["multiplier"] if params.multipliers else 1, fields["shift"])


def late_step(t: int, n_steps: int, r: int) -> tuple[bool, int]:
    """Whether V doubles at step ``t`` of ``n_steps``, and by how much I[t] is shifted right."""
    beyond = t - (n_steps - 1 - r)
    return beyond <= 0, max(beyond, 0)


def update_one(v: int, i: int, t: int, n_steps: int, form: Integration) -> int:
    """:func:`update` of one potential, on Python integers."""
    v = 0 if t == 0 else v
    if isinstance(form, Scaled):
        total = 2 * v + round_half_even_shift_one(form.multiplier * i, form.shift)
    else:
        doubles, shift = late_step(t, n_steps, form.shift)
        total = (2 * v if doubles else v) + (i >> shift)
    return min(max(total, LOWEST), HIGHEST)


def update(
    v: NDArray[np.int32] | None, i: ArrayLike, t: int, n_steps: int, form: Integration
) -> NDArray[np.int32]:
    """Potentials after time step ``t`` of ``n_steps``, from those before and the step's sums.

    v : int32 array of 16-bit values, any shape; not looked at for t = 0
    i : integers of 16 signed bits (floats that hold such are as good), of the same shape
    Returns a new int32 array.
    """
    total = grow(v, i, t, n_steps, form)
    return np.clip(total, LOWEST, HIGHEST, out=total)


def grow(
    v: NDArray[np.int32] | None, i: ArrayLike, t: int, n_steps: int, form: Integration
) -> NDArray[np.int32]:
    """:func:`update` without saturation, for choosing constants by what V would become."""
    if isinstance(form, Scaled):
        doubles = True
        # Exact: 32 bits of product in a double, whose rounding is to even too.
        scaled = np.asarray(i, np.float64) * (form.multiplier / (1 << form.shift))
        total = np.rint(scaled, out=scaled).astype(np.int32)
    else:
        doubles, shift = late_step(t, n_steps, form.shift)
        total = np.asarray(i).astype(np.int32)
        total >>= shift
    if t:
        assert v is not None, "only the first step starts from nothing"
        total += 2 * v if doubles else v
    return total


def dropped_by(form: Integration) -> tuple[int, int]:
    """Mean that the shifts of a whole train drop, in units of V: numerator, exponent of two below.

    ``sum over j = 1..r of (1 - 2**-j) / 2`` for ``Late``; nothing for ``Scaled``, which rounds.
    """
    r = form.shift if isinstance(form, Late) else 0
    return sum((1 << r) - (1 << (r - j)) for j in range(1, r + 1)), r + 1
