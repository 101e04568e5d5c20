# SPDX-License-Identifier: Apache-2.0
"""Programs for one small core that integrates per time step."""

import numpy as np

from stemcore.compiler.errors import CompileError
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.presets import get_preset
from tests.support.random_networks import random_stepped_network


def stepped_core_program(rng: np.random.Generator, mode: str) -> tuple[Network, Program]:
    """A layer of random size on one core, T of 2 to 8.

    ``mode`` as in ``stemcore.compiler.lowering.integrate``; ``scaled_shift`` means cores without
    multipliers.
    """
    multipliers = mode != "scaled_shift"
    params = get_preset("tiny").with_(multipliers=multipliers)
    params = params.with_integration(mode.removesuffix("_shift"))
    while True:
        made = random_stepped_network(
            rng, mode, multipliers=multipliers, n_layers=1, max_channels=8, max_size=5
        )
        network = Network(made.name, made.input, made.layers[:1], made.scales)
        try:
            return network, compile_network(network, params, columns=1, rows=1)
        except CompileError:
            continue
