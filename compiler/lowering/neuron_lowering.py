# SPDX-License-Identifier: Apache-2.0
"""What the compiler asks of a neuron model: constants of layers, and proofs of range.

``golden/spec/neuron_model.py`` says what a model is; each has a file in
``compiler/lowering/neurons`` with an object of the class below.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Network
from stemcore.golden.spec.neuron_model import Neuron
from stemcore.golden.spec.params import ChipParams


class NeuronLowering(ABC):
    """How layers get the constants of one neuron model.

    Attributes
    ----------
    name : str
        The model's.
    modes : tuple of str
        What a user may ask for; the first is the model's name, the others are variants of how its
        constants are chosen.
    needs_images : bool
        Whether calibration images choose the constants.
    """

    name: str
    modes: tuple[str, ...]
    needs_images: bool

    @abstractmethod
    def integrate(
        self, network: Network, mode: str, images: NDArray[np.integer], *, multipliers: bool
    ) -> Network:
        """The network with every layer's constants, and requantization at the potential's scale.

        See :func:`stemcore.compiler.lowering.integrate.integrate`.
        """

    @abstractmethod
    def is_proved(self, network: Network, params: ChipParams) -> bool:
        """Whether no spikes at all, in whatever order, can take an accumulator out of its bits."""

    @abstractmethod
    def describe(self, neuron: Neuron) -> str:
        """A layer's constants, as a user reads them."""
