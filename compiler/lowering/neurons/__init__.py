# SPDX-License-Identifier: Apache-2.0
"""The compiler's part of every neuron model, a file each."""

from stemcore.golden.spec.registry import find_entries

from ..neuron_lowering import NeuronLowering

LOWERINGS: dict[str, NeuronLowering] = find_entries(
    __name__,
    __path__,
    "LOWERING",
    NeuronLowering,  # type: ignore[type-abstract]
)
