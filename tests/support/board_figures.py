# SPDX-License-Identifier: Apache-2.0
"""What the tools say of a board, for tests without them."""

FIGURES = {
    "clock_mhz": 75.0,
    "divisor": 25,
    "cells": {"LUT4": 21000, "CCU2C": 2000, "TRELLIS_FF": 18000, "DP16KD": 184, "MULT18X18D": 12},
    "block_registers": {"memories": 120, "products": 12, "factors": 8, "flip_flops": 2000},
    "copies": 700,
    "power_on": {
        "flip_flops": {"0": 17700, "1": 300},
        "block_memories": {"all": 184, "with_contents": 0},
        "distributed_memories": {"all": 116, "with_contents": 0},
    },
    "yosys_s": 60.0,
    "yosys_command": "synth_ecp5",
}


def placement(seed, mhz):
    return {
        "seed": seed,
        "fmax_mhz": {"chip_clk": mhz, "board": 40.0},
        "target_mhz": {"chip_clk": 75.0, "board": 25.0},
        "device_use": {"DP16KD": {"used": 184, "available": 208}},
        "worst_paths": [
            {"clock": "chip_clk", "to": "b", "delay_ns": 12.5, "through": "a<b"},
            {"clock": "board", "to": "c", "delay_ns": 25.5, "through": "d"},
        ],
        "critical_paths": {"chip_clk": ["12.50 ns"], "board": ["25.50 ns"]},
        "nextpnr_s": 100.0 + seed,
        "nextpnr_command": "nextpnr",
    }
