# SPDX-License-Identifier: Apache-2.0
"""Late scaling: the smallest r that keeps potentials in 16 bits."""

from fractions import Fraction

from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.neurons.late import MAX_SHIFT, Late
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST
from stemcore.golden.spec.widths import STEP_WIDTH

from ...errors import RangeError
from ..calibrated import CalibratedLowering
from ..reach import LayerReach
from ..rescale import PotentialScale


class LateLowering(CalibratedLowering):
    """``r`` from the largest potentials; the bias takes in what the last shifts drop on average."""

    name = "late"
    modes = ("late",)
    probe = Late()

    def fit(self, reach: LayerReach, mode: str, *, multipliers: bool) -> Late:
        """The smallest r with which no potential of calibration leaves 16 bits."""
        n_steps = len(reach.potentials)
        for r in range(MAX_SHIFT + 1):
            # A step that does not double sees V at the scale of step T-1-r; r sums were rounded
            # down.
            reached = (
                (v >> max(0, t - (n_steps - 1 - r))) + r for t, v in enumerate(reach.potentials)
            )
            if max(reached) <= HIGHEST:
                return Late(r)
        raise RangeError(
            reach.name,
            f"potentials must fit {STEP_WIDTH + MAX_SHIFT} bits, they reach "
            f"{max(reach.potentials)}",
            "use fewer bits, or split the layer",
        )

    def scale(self, neuron: Neuron) -> PotentialScale:
        """``z / 2**r``, less half of what a shift by j = 1 .. r can drop for each of them."""
        assert isinstance(neuron, Late)
        lost = sum(((1 - Fraction(1, 1 << j)) / 2 for j in range(1, neuron.shift + 1)), Fraction())
        return PotentialScale(1, neuron.shift, lost, -LOWEST)

    def describe(self, neuron: Neuron) -> str:
        """r."""
        assert isinstance(neuron, Late)
        return f"r = {neuron.shift}"


LOWERING = LateLowering()
