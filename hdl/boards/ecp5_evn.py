# SPDX-License-Identifier: Apache-2.0
"""Lattice's ECP5 Evaluation Board: the same logic in the fastest speed grade."""

from .board import Board

BOARD = Board(
    name="ecp5_evn",
    title="Lattice ECP5 Evaluation Board",
    device="LFE5UM5G-85F, CABGA381, speed grade 8",
    family="ecp5",
    place_flags=("--um5g-85k", "--package", "CABGA381", "--speed", "8"),
    presets=("ecp5", "ecp5_lean", "ecp5_32", "ecp5_32_lean"),
)
