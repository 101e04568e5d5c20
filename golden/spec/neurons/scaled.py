# SPDX-License-Identifier: Apache-2.0
"""Scaled integration: 16 bits, every sum scaled down before it is added (paper eqs. 16 and 18).

``V[t] = sat16(2 V[t-1] + round_half_even(k1 I[t]))`` from ``V[-1] = 0``.

V[T-1] stands for the exact sum times k1; the layer's multiplier and shift are k2 (eqs. 17, 19).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..neuron_model import Neuron, NeuronModel, TokenPeriod
from ..sixteen_bits import POTENTIAL, REGISTER, saturate
from ..widths import MULTIPLIER_WIDTH, STEP_WIDTH

MAX_SHIFT = 31  # of k1: a 16-bit multiplier and 16 bits below one


def round_half_even(product: Any, shift: int) -> Any:
    """``product / 2**shift`` to the nearest integer, ties to even; needs no more bits."""
    if not shift:
        return product
    floor, rest, half = product >> shift, product & ((1 << shift) - 1), 1 << (shift - 1)
    return floor + ((rest > half) | ((rest == half) & (floor & 1 == 1)))


@dataclass(frozen=True)
class Scaled(Neuron):
    """``k1 = multiplier / 2**shift``, at most 1.

    ``multiplier`` is 1 (a shift alone; all that a core without multipliers can do) or of 16 bits.
    """

    multiplier: int = 1
    shift: int = 0

    MODEL_NAME = "scaled"

    def __post_init__(self) -> None:
        if not (
            1 <= self.multiplier < 1 << MULTIPLIER_WIDTH
            and 0 <= self.shift <= MAX_SHIFT
            and self.multiplier <= 1 << self.shift
        ):
            raise ValueError(
                f"Scaled: multiplier must lie in 1..{(1 << MULTIPLIER_WIDTH) - 1} and shift in "
                f"0..{MAX_SHIFT}, k1 must not exceed 1; got {self.multiplier} / 2**{self.shift}"
            )

    def update(self, v: Any, i: Any, t: int, n_periods: int) -> Any:
        """The equation above."""
        term = round_half_even(i * self.multiplier, self.shift)
        return saturate(term if t == 0 else 2 * v + term)

    @classmethod
    def from_fields(cls, fields: Mapping[str, int], *, multipliers: bool) -> "Scaled":
        """Without multipliers the multiplier counts as one."""
        return cls(fields["multiplier"] if multipliers else 1, fields["shift"])

    def to_fields(self, bits: int) -> dict[str, int]:
        """Both constants."""
        return {"steps": bits, "multiplier": self.multiplier, "shift": self.shift}


MODEL = NeuronModel(
    name=Scaled.MODEL_NAME,
    neuron=Scaled,
    token_period=TokenPeriod.TIME_STEP,
    acc_width=STEP_WIDTH,
    state=(POTENTIAL,),
    register=REGISTER,
    shifts_on_arrival=False,
    is_exact=False,
    latency=(6, 8),
)
