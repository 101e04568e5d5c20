# SPDX-License-Identifier: Apache-2.0
"""Rows of this project: each from a run of ``stemcore sim``, which compares every spike."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stemcore.runtime.report.energy import energy_text
from stemcore.runtime.report.names import output_folder
from stemcore.runtime.report.schema import REPORT_FILE
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate

from .placed import NODE, ULX3S, Placed
from .row import MEASURED, Row

JPEG_COPY = "CIFAR10, a JPEG copy"
ENLARGED = "digits, enlarged; random weights"


@dataclass(frozen=True)
class Case:
    """A network on a data set, ``network`` as its weights' file is named; ``trained`` ones have an
    accuracy. ``what`` and ``data`` are how a reader calls the two. ``placed``: cores take turns on
    that board's nodes; None: each core has a node, and no board is meant.
    """

    network: str
    what: str
    data: str
    bits: int = 8
    images: int = 8
    trained: bool = True
    placed: Placed | None = None

    @property
    def model(self) -> str:
        """Its registered name."""
        return self.network.partition("-")[0]

    @property
    def dataset(self) -> str:
        """Its registered name."""
        return self.network.partition("-")[2]

    @property
    def settings(self) -> Settings:
        """Of its run."""
        preset = self.placed.preset if self.placed else None
        return Settings(self.model, dataset=self.dataset, bits=self.bits, preset=preset)

    @property
    def nodes(self) -> int | None:
        """On which cores take turns."""
        return self.placed.nodes if self.placed else None

    @property
    def command(self) -> str:
        """That makes the run."""
        bits = f" BITS={self.bits}" if self.bits != 8 else ""
        board = f" PRESET={self.placed.preset} CORES_ON_CHIP={self.nodes}" if self.placed else ""
        network = f"MODEL={self.model} DATASET={self.dataset}"
        return f"make sim {network}{bits}{board} IMAGES={self.images}"


def _untrained(network: str, what: str) -> Case:
    return Case(network, what, ENLARGED, images=2, trained=False)


CASES = (
    Case("digits_cnn-digits", "three convolutions and a classifier", "digits", placed=ULX3S),
    Case("lenet5-mnist", "LeNet-5 as published", "MNIST", placed=ULX3S),
    Case("resnet8-cifar10", "MLPerf Tiny: image classification", JPEG_COPY, placed=ULX3S),
    Case("lenet5-mnist", "LeNet-5 as published", "MNIST"),
    Case("lenet5-mnist", "LeNet-5 as published", "MNIST", bits=4),
    Case("tiny_vgg-cifar10", "VGG of five convolutions, 0.8M parameters", JPEG_COPY),
    Case("resnet8-cifar10", "MLPerf Tiny: image classification", JPEG_COPY),
    _untrained("vgg11-digits", "VGG-11, 9.2M parameters"),
    _untrained("ds_cnn-digits", "MLPerf Tiny: keyword spotting"),
    _untrained("mobilenet_v1_quarter-digits", "MLPerf Tiny: wake words"),
    _untrained("deep_autoencoder-digits", "MLPerf Tiny: anomalies"),
)


def report_of(case: Case) -> Mapping[str, Any]:
    """The report of the case's run; runs it where none of so many images is there."""
    path = output_folder(case.settings) / REPORT_FILE
    found = _read(path)
    is_it = found.get("images") == case.images and (
        (found.get("virtual_cores") or {}).get("cores_on_chip") == case.nodes
    )
    if not is_it or found.get("bit_exact", {}).get("golden_rtl") is None:
        simulate(
            case.settings,
            n_images=case.images,
            cores_on_chip=case.nodes,
            command=case.command.split(),
        )
        found = _read(path)
    return found


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def row_of(case: Case, report: Mapping[str, Any]) -> Row:
    """The row; raises ``ValueError`` where a spike differed, for such figures are worth nothing."""
    if not all(report["bit_exact"].values()):
        raise ValueError(f"{case.command}: every spike must be equal: {report['differences'][0]}")
    interval = report["cycles_per_image"]["interval"]
    energy = energy_text(report["energy_memory"]["pj_per_image"])
    accuracy = report["accuracy"]
    latency = f"latency {report['cycles_per_image']['latency']:,.0f} cycles; every spike equal"
    row = Row(
        f"this project, T = {case.bits}",
        case.what,
        case.data,
        MEASURED,
        case.command,
        accuracy=100 * accuracy["quantized"] if case.trained else None,
        images=accuracy["images"] if case.trained else None,
        cycles=interval,
        clock_mhz=NODE.clock_mhz,
        per_second=1e6 * NODE.clock_mhz / interval,
        luts=f"{report['cores']} nodes of {report['lanes']} lanes; {NODE.luts:,} LUT4 each in ECP5",
        memory=f"{report['parameters'] / 1e3:,.0f}k parameters of 8 bits",
        energy=f"{energy}, model of 45 nm without clock and leakage",
        note=latency,
        device="ECP5: the clock of one node",
        precision=f"activations of {case.bits} bits, weights of 8",
    )
    return row if case.placed is None else _on_board(row, case.placed, report)


def _on_board(row: Row, board: Placed, report: Mapping[str, Any]) -> Row:
    """The row of a run in which cores took turns on a board's nodes."""
    rate, on_line = board.rates(report)
    turns = report["virtual_cores"]
    return replace(
        row,
        system=f"{row.system}, one node on the board {board.board}",
        clock_mhz=board.clock_mhz,
        per_second=rate,
        luts=f"{board.luts:,} LUT4, all of the board's design (`{board.command}`)",
        memory=f"{board.block_rams} DP16KD of 18 kbit",
        note=f"{len(turns['groups'])} groups of cores take turns, loaded once for "
        f"{turns['batch']} images, loads included; {on_line:.2g} images/s as flits on a "
        f"serial line of {board.baud:,} baud; clock placed and routed, not run in silicon; "
        f"{row.note}",
        device=board.device,
    )
