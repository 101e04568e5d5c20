# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.hdl.chip import Chip
from stemcore.runtime.host.flits import Host
from tests.support.hand_programs import conv_chain_program
from tests.support.player import Player
from tests.support.random_networks import random_images
from tests.support.streams import simulate

TINY = get_preset("tiny")


@pytest.mark.slow
@pytest.mark.parametrize("stall", [pytest.param("free", marks=pytest.mark.long), "third"])
def test_chip_runs_a_program_and_every_node_answers_for_itself(stall, rng):
    program, network = conv_chain_program(2)
    images = random_images(rng, network, 2)
    chip = Chip(params=program.params, columns=program.columns, rows=program.rows)
    host = Host(program)
    # Registers that tell the cores apart.
    reads = [
        request
        for core in program.cores
        for register in (Control.N_SOURCES, Control.N_UPDATE)
        for request in host.read(core, Memory.CONTROL, register)
    ]
    quiet = []

    async def watch(ctx):
        nodes = [node.quiet for node in chip.nodes.values()]
        async for _, _, whole, *parts in ctx.tick().sample(chip.quiet, *nodes):
            assert whole == all(parts)
            quiet.append(whole)

    player = Player(program, images, chip.i, chip.o, reads=reads, stall=stall, rng=rng)
    simulate(chip, [player], limit=20_000, background=[watch])
    expected = run_network(network, images)[program.output]
    np.testing.assert_array_equal(player.protocol.output.values, expected)
    wanted = [
        int(core.memories[Memory.CONTROL][register].item())
        for core in program.cores
        for register in (Control.N_SOURCES, Control.N_UPDATE)
    ]
    assert player.protocol.replies == wanted
    assert quiet[-1] and not all(quiet)


@pytest.mark.long
@pytest.mark.slow
def test_chip_converts_and_names_its_nodes_by_column_and_row():
    chip = Chip(params=TINY, columns=3, rows=2)
    assert list(chip.nodes) == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]
    text = rtlil.convert(chip, emit_src=False)
    for x, y in chip.nodes:
        assert f"\\top.node_{x}_{y}.core" in text
