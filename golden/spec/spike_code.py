# SPDX-License-Identifier: Apache-2.0
"""The spike code: which bit of a value a spike of time step t is, what it weighs, what negates.

A value of n bits is fired over T = n time steps, most significant bit first; at t = 0 the spike of
a signed value weighs negative, as the sign bit of two's complement does (paper eq. 11). This is the
one place that says so: models and compiler work on the functions below, the gateware's expressions
are made by them, and the host's C++ reads a table written from them. They use operators alone, so
that integers, arrays of integers and gateware signals will do. Standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .integers import code_limits, limits

Value = TypeVar("Value")  # an integer, or an array of integers


def bit_of_step(bits: Any, t: Any) -> Any:
    """Position of the bit that a spike of time step ``t`` of ``bits`` stands for."""
    return bits - 1 - t


def negates(is_signed: Any, t: Any) -> Any:
    """Whether a spike of time step ``t`` counts negative."""
    return is_signed & (t == 0)


@dataclass(frozen=True)
class SpikeCode:
    """The trains of one population: ``bits`` time steps, of signed or unsigned values."""

    bits: int
    is_signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that is fired, both included; signed limits are symmetric."""
        return limits(self.bits, self.is_signed)

    @property
    def reach(self) -> tuple[int, int]:
        """What any subset of the spikes of a train can add up to: smallest and largest sum.

        These are also the values that have a train.
        """
        return code_limits(self.bits, self.is_signed)

    @property
    def step_limits(self) -> list[tuple[int, int]]:
        """Least and most that a source adds in one time step, before the step's weight.

        One pair for the steps whose spikes count positive, (0, 1), and one for the step that
        negates, (-1, 0), where there is one.
        """
        signs = {self.sign(t) for t in range(self.bits)}
        return [(min(sign, 0), max(sign, 0)) for sign in sorted(signs)]

    def weight(self, t: int) -> int:
        """``c_t``: what a spike of time step ``t`` weighs. ``ValueError`` beyond the train."""
        if not 0 <= t < self.bits:
            raise ValueError(f"weight: t must lie in 0..{self.bits - 1}, got {t}")
        return self.sign(t) * self.threshold(t)

    def sign(self, t: int) -> int:
        """1, or -1 in the time step that negates."""
        return -1 if negates(self.is_signed, t) else 1

    def threshold(self, t: int) -> int:
        """What the rest of a value is held against in time step ``t``, and loses by firing."""
        position: int = bit_of_step(self.bits, t)
        return 1 << position

    def spike(self, value: Value, t: int) -> Value:
        """Whether a value (or an array of values) fires in time step ``t``: 0 or 1."""
        rest: Any = value
        bit: Value = (rest >> bit_of_step(self.bits, t)) & 1
        return bit

    def encode(self, value: int) -> list[int]:
        """The train of a value, T zeros and ones. ``ValueError`` for a value that has none."""
        low, high = self.reach
        if not low <= value <= high:
            raise ValueError(f"encode: value must lie in {low}..{high}, got {value}")
        return [self.spike(value, t) for t in range(self.bits)]

    def decode(self, spikes: Sequence[int]) -> int:
        """The value of a train: ``sum of c_t s[t]``."""
        return sum(self.weight(t) * s for t, s in enumerate(spikes))
