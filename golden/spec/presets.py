# SPDX-License-Identifier: Apache-2.0
"""Named sizes of chips. Standard library only."""

from .neurons import MODELS
from .params import DEFAULT_MODEL, ChipParams

DEFAULT_PRESET = "sim32"  # of networks that state none
# 16 lanes in whole block memories. Memories of one block each have the words that it holds at their
# width; the axons' descriptors lie in lookup tables of 16 words.
_BLOCK_RAM = ChipParams(
    lanes=16,
    soma_lanes=2,
    n_acc_words=512,
    n_fire_words=512,
    n_axons=16,
    n_update=1024,
    n_blocks=64,
    n_destinations=512,
    c_width=10,
    n_table_c=512,
    n_table_y=512,
    n_table_x=512,
    queue_depth=2,
    n_spikes=512,
)
_LARGE = ChipParams(
    acc_width=32,
    n_acc_words=2048,
    n_weight_words=16384,
    n_axons=16,
    n_table_c=4096,
    n_table_y=512,
    n_table_x=512,
    n_update=8192,
    n_blocks=64,
    n_fire_words=4096,
    n_destinations=1024,
    c_width=14,
    shift_width=5,
)
PRESETS: dict[str, ChipParams] = {
    # What the models of the zoo are simulated on.
    "sim32": ChipParams(),
    # Deeper memories, for fan-ins beyond 4096 (the 12.0M-parameter network).
    "sim32_wide": ChipParams(n_weight_words=8192, n_table_c=2048),
    # Networks for 224 x 224 images, and dense layers of any fan-in: room for digits of split sums.
    "large": _LARGE,
    # Flits have 64 bits at most, so bits for rows and columns come from somewhere: images beyond
    # 256 x 256, sequences of up to 65,536 samples, and large images for large networks.
    "sim32_maps": ChipParams(y_width=11, x_width=11, n_table_y=512, n_table_x=512),
    "sim32_sequence": ChipParams(y_width=6, x_width=16, n_table_y=64, n_table_x=2048),
    "large_maps": ChipParams(
        acc_width=32,
        n_acc_words=2048,
        n_weight_words=16384,
        n_axons=16,
        n_table_c=4096,
        n_table_y=1024,
        n_table_x=1024,
        n_update=8192,
        n_blocks=64,
        n_fire_words=4096,
        n_destinations=1024,
        c_width=12,
        y_width=10,
        x_width=10,
        shift_width=5,
    ),
    # `large` for layers that read many tensors, as those of concatenations: 25 in DenseNet-121.
    "large_concat": _LARGE.with_(n_axons=32),
    # FPGAs: memories fill whole block memories (spec/block_ram.py), whose 512 words are the least.
    # Three nodes of an LFE5U-85F: 8192 neurons and 64 KB of weights each.
    "ecp5": _BLOCK_RAM,
    "ecp5_32": _BLOCK_RAM.with_(lanes=32, n_weight_words=2048, n_blocks=32),
    # The same without multipliers: exact-profile programs only.
    "ecp5_lean": _BLOCK_RAM.with_(multipliers=False),
    "ecp5_32_lean": _BLOCK_RAM.with_(lanes=32, n_weight_words=2048, n_blocks=32, multipliers=False),
    # One node of a small part: an LFE5U-25F, a GW2A-18. Maps of 64 x 64 at most, so that a word
    # of the fire table is one chunk.
    "tiny_fpga": _BLOCK_RAM.with_(lanes=8, soma_lanes=1, n_destinations=64, y_width=6, x_width=6),
    # Four nodes of an XC7A100T, whose multipliers are plenty.
    "artix": _BLOCK_RAM.with_(soma_lanes=4),
    # Four nodes of a Kria K26: weights in UltraRAM, 512 KB a node.
    "kria": _BLOCK_RAM.with_(
        lanes=32, soma_lanes=4, n_weight_words=16384, n_table_c=1024, c_width=11
    ),
    # Cores like Darwin3's: 4096 neurons, 16-bit sums and potentials, 24 x 24 nodes in reach.
    "darwin3": ChipParams(
        n_acc_words=128, n_fire_words=128, n_update=256, acc_width=16, integration="scaled"
    ),
    # Small enough for Amaranth's simulator, Icarus and proofs.
    "tiny": ChipParams(
        lanes=4,
        soma_lanes=2,
        n_acc_words=64,
        n_weight_words=512,
        n_axons=4,
        n_table_c=64,
        n_table_y=32,
        n_table_x=32,
        n_spikes=8,
        n_update=128,
        n_blocks=16,
        n_fire_words=64,
        n_destinations=32,
        c_width=6,
        y_width=5,
        x_width=5,
        coord_width=3,
        queue_depth=2,
    ),
}
PRESETS |= {
    f"tiny_{name}": PRESETS["tiny"].with_integration(name)
    for name in MODELS
    if name != DEFAULT_MODEL
}


def get_preset(name: str) -> ChipParams:
    """The preset called ``name``; ``ValueError`` names those that exist."""
    if name not in PRESETS:
        raise ValueError(f"preset: must be one of {', '.join(sorted(PRESETS))}, got {name!r}")
    return PRESETS[name]
