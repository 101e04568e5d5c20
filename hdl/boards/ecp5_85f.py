# SPDX-License-Identifier: Apache-2.0
"""The largest ECP5 without transceivers in its largest package: what the measurements are of."""

from .board import Board

BOARD = Board(
    name="ecp5_85f",
    title="no board: the part alone",
    device="LFE5U-85F, CABGA756, speed grade 6",
    family="ecp5",
    place_flags=("--85k", "--package", "CABGA756", "--speed", "6"),
    presets=("ecp5", "ecp5_lean", "ecp5_32", "ecp5_32_lean"),
)
