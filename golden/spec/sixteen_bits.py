# SPDX-License-Identifier: Apache-2.0
"""What neuron models share whose sums and potentials have 16 bits, like those of Darwin3's cores.

A spike adds its weight unshifted (negative at t = 0 where the source is signed) to the sum I[t] of
its time step (paper eq. 14). I[t] wraps to 16 bits, so that the order of the spikes does not
matter; it has to fit. The compiler proves that it does or bounds it by calibration; the models
raise an error, the gateware's overflow flag tells. V saturates. Standard library only.
"""

from typing import Any

from .integers import signed_limits
from .neuron_model import StateVariable
from .widths import BITS_WIDTH, MULTIPLIER_WIDTH, STEP_WIDTH

LOWEST, HIGHEST = signed_limits(STEP_WIDTH)

POTENTIAL = StateVariable("V", STEP_WIDTH, "membrane potential, saturating; 0 before a sample")

# One layout for both models: a chip's host need not know which one it talks to.
REGISTER = (("steps", BITS_WIDTH), ("multiplier", MULTIPLIER_WIDTH), ("shift", 5))


def saturate(x: Any) -> Any:
    """``x`` clamped to 16 signed bits; an integer, or an array (its own type)."""
    return x.clip(LOWEST, HIGHEST) if hasattr(x, "clip") else min(max(x, LOWEST), HIGHEST)
