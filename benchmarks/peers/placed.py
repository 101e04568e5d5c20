# SPDX-License-Identifier: Apache-2.0
"""What a board and a node take and reach, placed and routed: the home of these figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemcore.golden.spec.uart_frames import BAUD
from stemcore.runtime.fpga.rates import line_seconds


@dataclass(frozen=True)
class Placed:
    """A bitstream, as ``command`` reports it and ``docs/measurements.md`` has it."""

    board: str
    device: str
    preset: str
    nodes: int
    luts: int
    block_rams: int
    clock_mhz: float
    command: str
    baud: int = BAUD

    def rates(self, report: Mapping[str, Any]) -> tuple[float, float]:
        """Images per second of a run in which cores took turns on these nodes: as fast as the chip
        is, loads included, and with what the serial line takes meanwhile.
        """
        virtual = report["virtual_cores"]
        hz = self.clock_mhz * 1e6
        share = virtual["batches"] / report["images"]
        per_image = 0.0
        for group in virtual["groups"]:
            on_line = line_seconds(group["load_words"], self.baud)
            load = share * max(on_line, group["load_flits"] / hz)
            into, out = (line_seconds(group[name], self.baud) for name in ("flits_in", "flits_out"))
            per_image += load + max(group["cycles"] / hz, into, out)
        return hz / report["cycles_per_image"]["interval"], 1 / per_image


ULX3S = Placed(
    board="ulx3s",
    device="LFE5U-85F",
    preset="ecp5",
    nodes=1,
    luts=8_509,
    block_rams=63,
    clock_mhz=116.1,
    command="make fpga BOARD=ulx3s NODES=1x1",
)


@dataclass(frozen=True)
class PlacedNode:
    """A node by itself, as ``command`` reports it and ``docs/measurements.md`` has it."""

    lanes: int
    luts: int
    clock_mhz: float
    command: str


# The presets of runs in which every core has a node have deeper memories.
NODE = PlacedNode(lanes=32, luts=10_209, clock_mhz=108.5, command="make synth PRESET=ecp5_32")
