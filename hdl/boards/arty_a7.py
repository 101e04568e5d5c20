# SPDX-License-Identifier: Apache-2.0
"""Digilent Arty A7-100T: a project for the vendor's tool, serial line over its USB connector."""

from .board import Board

BOARD = Board(
    name="arty_a7",
    title="Digilent Arty A7-100T",
    device="XC7A100T, CSG324, speed grade 1",
    family="xilinx",
    place_flags=(),
    presets=("artix",),
    platform="amaranth_boards.arty_a7:ArtyA7_100Platform",
    blocks=270,
    clock_mhz=100.0,
    loader="openFPGALoader --board arty_a7_100t",
    part="xc7a100tcsg324-1",
    synthesis="-family xc7",
)
