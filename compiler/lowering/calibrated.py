# SPDX-License-Identifier: Apache-2.0
"""Lowering to models with 16-bit sums and potentials: constants chosen from calibration images."""

from abc import abstractmethod
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Layer, Network
from stemcore.golden.network.period_sums import period_bounds
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST
from stemcore.golden.spec.widths import STEP_WIDTH

from ..errors import RangeError
from .neuron_lowering import NeuronLowering
from .reach import LayerReach, measure
from .rescale import PotentialScale, with_neuron


class CalibratedLowering(NeuronLowering):
    """Fits a model's constants to what potentials reach on calibration images.

    Requantization then starts from the model's potential instead of the exact sum.
    """

    probe: Neuron  # any of the model's
    needs_images = True

    @abstractmethod
    def fit(self, reach: LayerReach, mode: str, *, multipliers: bool) -> Neuron:
        """Constants with which no potential of the calibration images leaves its bits."""

    @abstractmethod
    def scale(self, neuron: Neuron) -> PotentialScale:
        """What the last potential stands for."""

    def integrate(
        self, network: Network, mode: str, images: NDArray[np.integer], *, multipliers: bool
    ) -> Network:
        """``RangeError`` where a layer's weight sums, k2 or bias have no 16-bit form."""
        if not len(images):
            raise ValueError("integration: must have calibration images, got none")
        layers = []
        for layer, reach in zip(network.layers, measure(network, images, self.probe), strict=True):
            probed = replace(layer, neuron=self.probe)
            if reach.sums > HIGHEST and not layer_is_proved(probed, network):
                raise RangeError(
                    layer.name,
                    f"the weight sum of a time step must fit in {STEP_WIDTH} signed bits, "
                    f"calibration reached {reach.sums}",
                    "use INTEGRATION=exact, or fewer bits of weights",
                )
            neuron = self.fit(reach, mode, multipliers=multipliers)
            layers.append(with_neuron(layer, neuron, self.scale(neuron), multipliers))
        return replace(network, layers=tuple(layers))

    def is_proved(self, network: Network, params: ChipParams) -> bool:
        """Potentials saturate; it is the sums that have to fit."""
        return all(layer_is_proved(layer, network) for layer in network.layers)


def layer_is_proved(layer: Layer, network: Network) -> bool:
    """Whether no spikes at all can take a weight sum of a token period out of its 16 bits."""
    low, high = period_bounds(layer, network)
    return bool(low.min() >= LOWEST and high.max() <= HIGHEST)
