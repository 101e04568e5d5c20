# SPDX-License-Identifier: Apache-2.0
"""What a neuron model is: its state, its equation, and all that the rest of the project asks of it.

A model is one file in each of ``golden/spec/neurons`` (this object), ``compiler/lowering/neurons``
(how a layer gets its constants) and ``hdl/core/neurons`` (the soma). Files beside these know models
by their properties alone. Standard library only.

A **token period** is what one END and one CREDIT stand for, and what one update pass of the soma
completes: a whole sample, or one time step of it. In a period weights add up in the accumulators;
the update pass then takes every sum out and updates the neuron's potential::

    V = update(V, I, t, n_periods)          t = 0 .. n_periods-1, I the sum of period t

After the last period of a sample V is requantized and fired.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from .integers import signed_limits


class TokenPeriod(Enum):
    """What one END and one CREDIT stand for."""

    SAMPLE = "sample"
    TIME_STEP = "time step"


@dataclass(frozen=True)
class StateVariable:
    """A signed number that the soma keeps for every neuron from one token period to the next."""

    name: str
    width: int
    meaning: str


class Neuron(ABC):
    """A layer's neurons in one model: constants of the equation, and the equation.

    Subclasses are frozen dataclasses whose fields are the constants; what cannot be built raises
    ``ValueError``.
    """

    MODEL_NAME: ClassVar[str]

    @abstractmethod
    def update(self, v: Any, i: Any, t: int, n_periods: int) -> Any:
        """Potential after token period ``t`` of a sample, from that before and the period's sum.

        v, i : integers, or integer arrays of one shape that hold twice the sum's bits
            ``v`` is not looked at for ``t = 0``.
        Uses operators alone, so that an array gives an array of its type.
        """

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: Mapping[str, int], *, multipliers: bool) -> "Neuron":
        """The constants that a core's register holds; ``ValueError`` for impossible ones.

        fields : by the names of :attr:`NeuronModel.register`
        multipliers : bool
            Whether the core has multipliers.
        """

    @abstractmethod
    def to_fields(self, bits: int) -> dict[str, int]:
        """Contents of the register, for sources that fire ``bits`` time steps."""


@dataclass(frozen=True)
class NeuronModel:
    """One way of integrating and updating.

    Attributes
    ----------
    name : str
        As users and presets say it.
    neuron : type
        The layer's constants, and the equation.
    token_period : TokenPeriod
        What END and CREDIT stand for.
    acc_width : int or None
        Bits that accumulators must have; None where the preset chooses.
    state : tuple of StateVariable
        What the soma keeps of every neuron beside its accumulator.
    register : tuple of (field, bits)
        Fields of ``Control.INTEGRATION``, from bit 0 up; none where there is no such register.
        Where the period is the time step, ``steps`` is the T of the sources.
    shifts_on_arrival : bool
        True: a weight is added shifted left by what its spike's time step weighs. False: unshifted,
        the model's equation weighs the steps.
    is_exact : bool
        The last potential is the quantized layer's sum, always. What only then makes sense: sums
        that are sent on in digits, and equality with the torch model.
    latency : (int, int)
        Cycles that the update adds to the soma's pipeline: without multipliers, and with them.
    """

    name: str
    neuron: type[Neuron]
    token_period: TokenPeriod
    acc_width: int | None
    state: tuple[StateVariable, ...]
    register: tuple[tuple[str, int], ...]
    shifts_on_arrival: bool
    is_exact: bool
    latency: tuple[int, int]

    @property
    def potential_limits(self) -> tuple[int, int] | None:
        """Smallest and largest potential; None where sums are not limited beyond ``acc_width``.

        The first state variable is the potential.
        """
        if not self.state:
            return None
        return signed_limits(self.state[0].width)

    def tokens_per_sample(self, bits: int) -> int:
        """Token periods of a sample of a population that fires ``bits`` time steps."""
        return 1 if self.token_period is TokenPeriod.SAMPLE else bits

    def steps_per_period(self, bits: int) -> int:
        """Time steps of a token period of a population that fires ``bits`` of them."""
        return bits // self.tokens_per_sample(bits)

    def n_periods(self, fields: Mapping[str, int]) -> int:
        """Token periods of a sample at a core whose register holds ``fields``."""
        return fields.get("steps", 1)

    def first_shift(self, shift: int, bits: int) -> int:
        """Left shift of a weight in time step 0 of ``bits``; ``shift``: the connection's."""
        return shift + (bits - 1 if self.shifts_on_arrival else 0)

    def weight_shift(self, first_shift: Any, t: Any) -> Any:
        """Left shift of a weight whose spike has time step ``t``. Operators alone."""
        return first_shift - t if self.shifts_on_arrival else first_shift

    def update_latency(self, multipliers: bool) -> int:
        """Cycles that the update adds to the soma's pipeline."""
        return self.latency[multipliers]
