# SPDX-License-Identifier: Apache-2.0
"""Presets of FPGAs fill whole block memories, and the count of blocks is that of the tools."""

import pytest

from stemcore.golden.spec.block_ram import (
    BLOCK_BITS,
    MAX_LUT_WORDS,
    SHAPES,
    ULTRA_SHAPES,
    NodeMemory,
    node_blocks,
    node_memories,
)
from stemcore.golden.spec.presets import get_preset

# Free words of memories that have a reason: an activation table has a word for every byte; what
# else could grow asks for a wider word elsewhere, and so for another block.
FREE = {
    "ecp5": {"soma.requantize.lookup": 1792},
    "ecp5_lean": {"soma.requantize.lookup": 1792},
    "ecp5_32": {"soma.requantize.lookup": 1792},
    "ecp5_32_lean": {"soma.requantize.lookup": 1792},
    "tiny_fpga": {"soma.requantize.lookup": 1792, "axon_out.destinations": 448},
    "artix": {"soma.requantize.lookup": 1792, "soma.requant": 256},
    "kria": {"soma.requantize.lookup": 1792},
}


@pytest.mark.parametrize("preset", sorted(FREE))
def test_presets_of_fpgas_leave_no_words_that_cost_nothing(preset):
    free = {m.name: m.free_words() for m in node_memories(get_preset(preset)) if m.free_words()}
    assert free == FREE[preset]


# As Yosys 0.70 counts DP16KD after synth_ecp5; the second with half as many accumulators,
# activations, table entries and update entries.
@pytest.mark.parametrize(
    ("changes", "blocks"),
    [
        ({}, 61),
        ({"n_acc_words": 256, "n_fire_words": 256, "n_update": 256, "n_blocks": 16}, 61),
    ],
)
def test_blocks_of_a_node_are_those_of_synthesis(changes, blocks):
    assert node_blocks(get_preset("ecp5").with_(**changes)) == blocks


# Words, parts of a word, blocks by hand.
@pytest.mark.parametrize(
    ("words", "parts", "blocks", "free"),
    [
        (MAX_LUT_WORDS, (36,), 0, 0),
        (512, (36,), 1, 0),
        (256, (36,), 1, 256),
        (513, (36,), 2, 511),
        (512, (37,), 2, 0),
        (512, (32, 7), 2, 0),
        (512, (32, 32, 32, 12), 4, 0),
        (4096, (32,) * 4, 32, 0),
        (2048, (8,), 1, 0),
        (4096, (1,), 1, 12288),
    ],
)
def test_blocks_by_hand(words, parts, blocks, free):
    memory = NodeMemory("m", words, parts, copies=2)
    assert (memory.blocks(), memory.free_words()) == (2 * blocks, free)
    assert memory.bits == 2 * words * sum(parts) <= max(1, 2 * blocks) * BLOCK_BITS * 18


def test_shapes_are_of_one_size():
    assert {words * bits for words, bits in SHAPES if bits < 9} == {16384}
    assert {words * bits for words, bits in SHAPES if bits >= 9} == {BLOCK_BITS}


def test_weights_of_kria_are_whole_ultra_rams():
    (weights,) = (m for m in node_memories(get_preset("kria")) if m.name == "dendrite.weights")
    assert (weights.blocks(ULTRA_SHAPES), weights.free_words(ULTRA_SHAPES)) == (16, 0)
