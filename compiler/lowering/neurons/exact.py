# SPDX-License-Identifier: Apache-2.0
"""Exact integration: what quantization chose is right already."""

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import connection_partials
from stemcore.golden.network.network import Network
from stemcore.golden.spec.integers import signed_limits
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.params import ChipParams

from ..neuron_lowering import NeuronLowering


class ExactLowering(NeuronLowering):
    """No constants, and no calibration."""

    name = "exact"
    modes = ("exact",)
    needs_images = False

    def integrate(
        self, network: Network, mode: str, images: NDArray[np.integer], *, multipliers: bool
    ) -> Network:
        """The network as it is."""
        return network

    def is_proved(self, network: Network, params: ChipParams) -> bool:
        """True if no partial sum, in any order of the spikes, leaves ``acc_width`` signed bits.

        Every spike adds ``+-(w << shift)``: all positive terms together, and all negative ones,
        bound every sum on the way.
        """
        lowest, highest = signed_limits(params.acc_width)
        for layer in network.layers:
            low = np.zeros(layer.shape[0], dtype=np.int64)
            high = np.zeros(layer.shape[0], dtype=np.int64)
            for connection in layer.connections:
                least, most = connection_partials(connection, network.population(connection.source))
                low, high = low + least, high + most
            if (low < lowest).any() or (high > highest).any():
                return False
        return True

    def describe(self, neuron: Neuron) -> str:
        """No constants."""
        return "exact"


LOWERING = ExactLowering()
