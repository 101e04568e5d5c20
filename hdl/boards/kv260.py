# SPDX-License-Identifier: Apache-2.0
"""AMD Kria KV260: a block design with the processor system, and an overlay for PYNQ."""

from .board import Board

BOARD = Board(
    name="kv260",
    title="AMD Kria KV260",
    device="XCK26, SFVC784, speed grade 2LV",
    family="xilinx",
    place_flags=(),
    presets=("kria",),
    blocks=288,
    clock_mhz=150.0,
    part="xck26-sfvc784-2LV-c",
    synthesis="-family xcup -uram",
    ultra_blocks=64,
)
