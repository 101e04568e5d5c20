# SPDX-License-Identifier: Apache-2.0
"""The neuron models, a file each; what they have in common is in ``spec/neuron_model.py``."""

from ..neuron_model import Neuron, NeuronModel
from ..registry import find_entries

MODELS = find_entries(__name__, __path__, "MODEL", NeuronModel)


def model_of(neuron: Neuron) -> NeuronModel:
    """The model that these constants are of."""
    return MODELS[neuron.MODEL_NAME]
