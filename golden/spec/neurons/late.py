# SPDX-License-Identifier: Apache-2.0
"""Late scaling: 16 bits, in which V doubles only while it must.

``V[t] = sat16(2 V[t-1] + I[t])`` for ``t <= T-1-r``, and
``V[t] = sat16(V[t-1] + (I[t] >> (t - (T-1-r))))`` after that, with an arithmetic shift,

from ``V[-1] = 0``. V[T-1] stands for the exact sum divided by ``2**r``, less what the last shifts
dropped; requantization takes that into account (multiplier, shift and bias of the layer).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..neuron_model import Neuron, NeuronModel, TokenPeriod
from ..sixteen_bits import POTENTIAL, REGISTER, saturate
from ..widths import STEP_WIDTH

MAX_SHIFT = 15  # a larger one would leave nothing of a 16-bit sum but its sign


@dataclass(frozen=True)
class Late(Neuron):
    """``shift`` is r: how many bits the last time steps are short of doubling."""

    shift: int = 0

    MODEL_NAME = "late"

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ValueError(f"Late: shift must lie in 0..{MAX_SHIFT}, got {self.shift}")

    def step(self, t: int, n_steps: int) -> tuple[bool, int]:
        """Whether V doubles at step ``t`` of ``n_steps``, and by how much I[t] is shifted right."""
        beyond = t - (n_steps - 1 - self.shift)
        return beyond <= 0, max(beyond, 0)

    def update(self, v: Any, i: Any, t: int, n_periods: int) -> Any:
        """The equation above."""
        doubles, shift = self.step(t, n_periods)
        term = i >> shift
        if t == 0:
            return saturate(term)
        return saturate((2 * v if doubles else v) + term)

    @classmethod
    def from_fields(cls, fields: Mapping[str, int], *, multipliers: bool) -> "Late":
        """``shift``; the field ``multiplier`` has no meaning."""
        return cls(fields["shift"])

    def to_fields(self, bits: int) -> dict[str, int]:
        """``multiplier`` is left zero."""
        return {"steps": bits, "multiplier": 0, "shift": self.shift}


MODEL = NeuronModel(
    name=Late.MODEL_NAME,
    neuron=Late,
    token_period=TokenPeriod.TIME_STEP,
    acc_width=STEP_WIDTH,
    state=(POTENTIAL,),
    register=REGISTER,
    shifts_on_arrival=False,
    is_exact=False,
    latency=(4, 4),
)
