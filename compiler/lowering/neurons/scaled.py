# SPDX-License-Identifier: Apache-2.0
"""Scaled integration: the largest k1 that keeps potentials in 16 bits (paper eq. 16)."""

from fractions import Fraction

from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.neurons.scaled import MAX_SHIFT, Scaled
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST

from ...errors import RangeError
from ..calibrated import CalibratedLowering
from ..reach import LayerReach
from ..rescale import PotentialScale, mantissa


class ScaledLowering(CalibratedLowering):
    """k1 as a 16-bit multiplier and a shift; in ``scaled_shift`` the power of two below it."""

    name = "scaled"
    modes = ("scaled", "scaled_shift")
    probe = Scaled()

    def fit(self, reach: LayerReach, mode: str, *, multipliers: bool) -> Scaled:
        """The largest k1 up to 1 with which no potential of calibration exceeds 2**15 - 1.

        A power of two in ``scaled_shift``, and where there are no multipliers.
        """
        largest = max(reach.potentials)
        if largest <= HIGHEST:
            return Scaled()
        if mode == "scaled_shift" or not multipliers:
            return Scaled(1, next(a for a in range(64) if largest <= HIGHEST << a))
        multiplier, shift = mantissa(Fraction(HIGHEST, largest), is_floor=True)
        if shift > MAX_SHIFT:
            raise RangeError(
                reach.name,
                f"k1 must be at least 2**-16, the largest potential {largest} gives less",
                "use fewer bits, or split the layer",
            )
        return Scaled(multiplier, shift)

    def scale(self, neuron: Neuron) -> PotentialScale:
        """``k1 z``; sums are rounded to the nearest, so that nothing is lost on average."""
        assert isinstance(neuron, Scaled)
        return PotentialScale(neuron.multiplier, neuron.shift, Fraction(), -LOWEST)

    def describe(self, neuron: Neuron) -> str:
        """k1."""
        assert isinstance(neuron, Scaled)
        return f"k1 = {neuron.multiplier} / 2^{neuron.shift}"


LOWERING = ScaledLowering()
