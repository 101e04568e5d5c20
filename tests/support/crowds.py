# SPDX-License-Identifier: Apache-2.0
"""A network whose cores have more sources and destinations than a count of five bits can tell."""

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.network import INPUT, Connection, Network, Population
from stemcore.golden.network.taps import shared_taps
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from tests.support.random_networks import Builder, random_weight

SIZE = 30  # rows and columns of the layer that takes so many cores


def crowd(rng) -> tuple[Network, Program]:
    """One core fires at 43 and more, which all fire at one; for preset "tiny", with its program.

    All of the many get every spike of the first layer, so that few entries of its destination table
    name them all.
    """
    source = Population(INPUT, (2, 1, 1), 8, False)
    builder = Builder(rng, Network("crowd", source, (), {INPUT: 1.0}), 12, 24, False, 8)
    first = Connection(INPUT, random_weight(rng, 4, 2, 1, 1))
    builder.append((4, 1, 1), (first,), None, False)
    taps = shared_taps(((0, 1),) * SIZE, 1)
    spread = random_weight(rng, 12, 4, 1, 1)
    spread = Connection(builder.last().name, spread, rows=taps, columns=taps)
    builder.append((12, SIZE, SIZE), (spread,), None, False)
    taps = shared_taps(((0, SIZE),), SIZE)
    few = random_weight(rng, 4, 12, 1, 1) // 64  # the sum of so many has to fit
    few = Connection(builder.last().name, few, rows=taps, columns=taps)
    builder.append((4, 1, 1), (few,), None, False)
    return builder.network, compile_network(builder.network, get_preset("tiny"))


def register_of(program: Program, register: int) -> list[int]:
    """A register of every core, as it is written."""
    return [int(core.memories[Memory.CONTROL][register, 0]) for core in program.cores]
