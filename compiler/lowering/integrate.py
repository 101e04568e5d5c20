# SPDX-License-Identifier: Apache-2.0
"""The pass that gives every layer the constants of the cores' neuron model."""

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Network
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.neurons import MODELS, model_of
from stemcore.golden.spec.params import ChipParams

from ..errors import CompileError
from .calibrated import layer_is_proved
from .equal_trains import equal_trains
from .neurons import LOWERINGS


def modes() -> dict[str, str]:
    """Integration modes that a user may ask for, and the neuron model of each."""
    return {mode: lowering.name for lowering in LOWERINGS.values() for mode in lowering.modes}


def model_of_mode(mode: str) -> str:
    """The neuron model of an integration mode; ``ValueError`` names those that exist."""
    if mode not in modes():
        raise ValueError(f"integration: must be one of {', '.join(modes())}, got {mode!r}")
    return modes()[mode]


def needs_images(mode: str) -> bool:
    """Whether the constants of an integration mode are chosen by calibration images."""
    return LOWERINGS[model_of_mode(mode)].needs_images


def integrate(
    network: Network, mode: str, images: NDArray[np.integer], *, multipliers: bool = True
) -> Network:
    """The network for cores that integrate in ``mode``.

    Afterwards every layer has the constants of the neuron model (``Layer.neuron``), k2 in its
    multiplier and shift, and a bias at that scale; where tokens are exchanged per time step, spike
    trains that meet are of one length (:mod:`.equal_trains`). Exact integration changes nothing.

    Parameters
    ----------
    network : Network
        On a chip its connections have to go from one stage to the next
        (:func:`stemcore.compiler.lowering.skip_buffers.buffer_skips`).
    mode : str
        One of :func:`modes`. ``exact``; ``scaled``: k1 = (2**15 - 1) / max|V| as a 16-bit
        multiplier and a shift; ``scaled_shift``: the power of two below it; ``late``: r from the
        largest potential.
    images : integers (N, C, H, W)
        Calibration images; none where :func:`needs_images` is false. Potentials beyond what they
        reach saturate.
    multipliers : bool
        Whether the cores have multipliers; without them ``scaled`` is ``scaled_shift``.

    Raises
    ------
    RangeError
        Where a layer's weight sums, k2 or bias do not fit.
    """
    name = model_of_mode(mode)
    if MODELS[name].token_period is TokenPeriod.TIME_STEP:
        network = equal_trains(network)
    lowering = LOWERINGS[name]
    return lowering.integrate(network, mode, images, multipliers=multipliers)


def describe(network: Network) -> list[str]:
    """What :func:`integrate` chose, a line per layer."""
    lines = []
    for layer in network.layers:
        constants = LOWERINGS[layer.neuron.MODEL_NAME].describe(layer.neuron)
        proved = layer_is_proved(layer, network)
        guard = "sums proved" if proved else "sums bounded by calibration only"
        lines.append(f"{layer.name}: {constants}; {guard}")
    return lines


def check_integrations(network: Network, params: ChipParams) -> None:
    """The network is integrated as the chip's cores do it; ``CompileError`` otherwise."""
    for layer in network.layers:
        if model_of(layer.neuron) is not params.model:
            raise CompileError(
                layer.name,
                f"integration must be {params.integration} as in the cores, is "
                f"{layer.neuron.MODEL_NAME}",
                "lower the network for these cores, or choose another preset",
            )
    populations = [network.population(name) for name in network.output_layers]
    if len({params.model.tokens_per_sample(population.bits) for population in populations}) > 1:
        raise CompileError(
            network.name,
            f"outputs must have the same time steps where {params.integration} integration "
            "exchanges tokens step by step; they have "
            + ", ".join(f"{population.name} {population.bits}" for population in populations),
            "give their layers the same bits, or choose exact integration",
        )
