# SPDX-License-Identifier: Apache-2.0
"""Programs for small chips, made from ``SEED`` and words: the same in every process."""

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.errors import CompileError
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.presets import get_preset
from stemcore.testing import seeded
from tests.support.random_networks import random_images, random_network, random_stepped_network

PARAMS = get_preset("tiny")


def one_core_program(rng: np.random.Generator) -> tuple[Network, Program]:
    """A random layer of random size that fits one core."""
    while True:
        made = random_network(rng, n_layers=1, max_channels=8, max_size=6)
        network = Network(made.name, made.input, made.layers[:1], made.scales)
        try:
            return network, compile_network(network, PARAMS, columns=1, rows=1)
        except CompileError:
            continue


def four_core_program(rng: np.random.Generator) -> tuple[Network, Program]:
    """A random network on three cores, or four, of 2 x 2."""
    while True:
        network = random_network(rng, max_channels=8, max_size=7)
        try:
            program = compile_network(network, PARAMS, columns=2, rows=2)
        except CompileError:
            continue
        if len(program.cores) >= 3:
            return network, program


def mesh_case(columns: int, rows: int) -> tuple[Network, Program, NDArray[np.int64]]:
    """A random network on ``columns`` x ``rows`` nodes, more than half of them with a core."""
    rng = seeded("mesh", columns, rows)
    if columns == rows == 1:
        network, program = one_core_program(rng)
        return network, program, random_images(rng, network, 5)
    while True:
        network = random_network(rng, max_channels=8 * max(columns, rows), max_size=7)
        try:
            program = compile_network(network, PARAMS, columns=columns, rows=rows)
        except CompileError:
            continue
        if 2 * len(program.cores) > columns * rows:
            return network, program, random_images(rng, network, 5)


def stepped_case(mode: str) -> tuple[Network, Program, NDArray[np.int64]]:
    """A random network that integrates per time step, on two cores, or more, of 2 x 2."""
    rng = seeded("stepped", mode)
    params = PARAMS.with_integration(mode)
    while True:
        network = random_stepped_network(rng, mode, max_size=5, max_channels=6)
        try:
            program = compile_network(network, params, columns=2, rows=2)
        except CompileError:
            continue
        if len(program.cores) >= 2:
            return network, program, random_images(rng, network, 2)


def four_core_case(n: int) -> tuple[Network, Program, NDArray[np.int64]]:
    """Random network number ``n``, its program, and five images."""
    rng = seeded("four cores", n)
    network, program = four_core_program(rng)
    return network, program, random_images(rng, network, 5)
