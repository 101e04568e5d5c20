# SPDX-License-Identifier: Apache-2.0
"""Radiona ULX3S with a small ECP5: one node of the smallest preset for FPGAs."""

from .board import Board

BOARD = Board(
    name="ulx3s_25f",
    title="Radiona ULX3S 25F",
    device="LFE5U-25F, CABGA381, speed grade 6",
    family="ecp5",
    place_flags=("--25k", "--package", "CABGA381", "--speed", "6"),
    presets=("tiny_fpga",),
    platform="amaranth_boards.ulx3s:ULX3S_25F_Platform",
    blocks=56,
    clock_mhz=60.0,
    loader="openFPGALoader --board ulx3s",
)
