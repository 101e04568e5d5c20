# SPDX-License-Identifier: Apache-2.0
"""Exact integration: the accumulator is the membrane potential.

A spike of time step t adds ``w << (T-1-t+h)``, negative at t = 0 where the source is signed, so
that the sum of all spikes of a sample is the quantized layer's sum z whatever their order (paper
eqs. 11 and 14). Accumulators wrap modulo ``2**acc_width``: only z itself has to fit.

    V = I           I = z, the sum of the sample
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..neuron_model import Neuron, NeuronModel, TokenPeriod


@dataclass(frozen=True)
class Exact(Neuron):
    """No constants."""

    MODEL_NAME = "exact"

    def update(self, v: Any, i: Any, t: int, n_periods: int) -> Any:
        """The sum itself."""
        return i

    @classmethod
    def from_fields(cls, fields: Mapping[str, int], *, multipliers: bool) -> "Exact":
        """No register."""
        return cls()

    def to_fields(self, bits: int) -> dict[str, int]:
        """No register."""
        return {}


EXACT = Exact()

MODEL = NeuronModel(
    name=Exact.MODEL_NAME,
    neuron=Exact,
    token_period=TokenPeriod.SAMPLE,
    acc_width=None,
    state=(),
    register=(),
    shifts_on_arrival=True,
    is_exact=True,
    latency=(0, 0),
)
