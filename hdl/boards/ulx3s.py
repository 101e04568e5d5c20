# SPDX-License-Identifier: Apache-2.0
"""Radiona ULX3S with the largest ECP5: serial line over its USB connector, eight LEDs."""

from .board import Board

BOARD = Board(
    name="ulx3s",
    title="Radiona ULX3S 85F",
    device="LFE5U-85F, CABGA381, speed grade 6",
    family="ecp5",
    place_flags=("--85k", "--package", "CABGA381", "--speed", "6"),
    presets=("ecp5", "ecp5_lean"),
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    blocks=208,
    clock_mhz=60.0,
    loader="openFPGALoader --board ulx3s",
)
