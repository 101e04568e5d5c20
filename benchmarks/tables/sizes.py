# SPDX-License-Identifier: Apache-2.0
"""Networks of the paper's size without trained weights: what does not depend on training.

Weights are random at the scale of the data: sizes, cores and memories are those of any weights,
cycles and SOPs those of spikes that a trained network would fire in other numbers.
"""

import json
from collections.abc import Sequence
from typing import Any

from stemcore.compiler.manifest import source_digest
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.golden.spec.fields import Memory
from stemcore.models.errors import DataError
from stemcore.models.random_weights import NAME as RANDOM
from stemcore.models.registry import get_model
from stemcore.runtime.chip_estimate import ChipEstimate, estimate_chip
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import finish
from stemcore.runtime.report.names import compile_folder, output_folder
from stemcore.runtime.report.schema import REPORT_FILE
from stemcore.runtime.settings import Settings

from .published import SIZES
from .subjects import cached
from .table import Row, Table

NUMBER = "sizes"
# The paper's networks and those nearest to them.
NETWORKS = ("cifar10net", "tiny_vgg_12m", "vgg16", "resnet18", "resnet34", "yolo_resnet34")
_SIM = "make sim MODEL={} IMAGES=1"


def sizes(names: Sequence[str]) -> tuple[Table, list[str]]:
    """Rows of the networks in ``names``, and a line for each whose data are not there.

    Some take minutes and gigabytes to compile.
    """
    rows, missing = [], []
    for name in names:
        try:
            rows += _rows(name)
        except DataError as error:
            missing.append(f"{name}: {error}")
    note = (
        "Networks without trained weights: random ones in their place. Cycles and spikes are the "
        "estimate for the images of calibration; memory is words in use of all cores' memories."
    )
    title = "Networks of the paper's size"
    return Table(NUMBER, title, "as each row says", note, tuple(rows)), missing


def _rows(name: str) -> list[Row]:
    figures, paper = measured(name), SIZES.get(name, {})
    data, said = figures["dataset"], f"mesh of {figures['mesh']}"

    def row(what: str, ours: float | None, why: str, key: str = "") -> Row:
        return Row(f"{name} on {data}", what, ours, paper.get(key), why)

    return [
        row(
            "MACs, millions",
            figures["macs"] / 1e6,
            "per image; taps on padding not counted",
            "macs",
        ),
        row(
            "parameters, millions",
            figures["parameters"] / 1e6,
            "weights and biases",
            "parameters",
        ),
        row("neurons, thousands", figures["neurons"] / 1e3, "of all layers"),
        row("cores", figures["cores"], f"of preset {figures['preset']}, {said}"),
        row("memory in use, MiB", figures["memory_bits"] / 8 / 2**20, "words of all cores"),
        row("weights, MiB", figures["weight_bits"] / 8 / 2**20, "the largest part of it"),
        row("latency, million cycles", figures["latency"] / 1e6, "estimate"),
        row("interval, million cycles", figures["interval"] / 1e6, "estimate"),
        row("SOPs, millions", figures["sops"] / 1e6, f"spikes of {RANDOM}"),
        _on_rtl(name, data),
    ]


def measured(name: str) -> dict[str, Any]:
    """Sizes and the estimate of a network, kept on disk."""
    settings = Settings(name)

    def run() -> dict[str, Any]:
        prepared = prepare(
            settings, n_train=CALIBRATION_IMAGES, n_test=1, folder=compile_folder(settings)
        )
        chip = estimate_chip(finish(prepared).program, prepared.activity)
        return {"dataset": settings.data_shown, "preset": prepared.preset, **_of(chip)}

    inputs = [name, get_model(name).preset, source_digest()]
    return cached(f"{name}: sizes and estimate", inputs, run)


def _of(chip: ChipEstimate) -> dict[str, Any]:
    return {
        "macs": chip.macs,
        "parameters": chip.parameters,
        "neurons": chip.neurons,
        "cores": chip.n_cores,
        "mesh": f"{chip.mesh[0]} x {chip.mesh[1]}",
        "memory_bits": sum(use.used_bits for use in chip.memories.values()),
        "weight_bits": chip.memories[Memory.WEIGHT].used_bits,
        "latency": chip.latency,
        "interval": chip.interval,
        "sops": chip.sops,
    }


def _on_rtl(name: str, data: str) -> Row:
    """Whether a run on the gateware was equal in every spike, where one was made here."""
    what, command = "images equal on the RTL", _SIM.format(name)
    path = output_folder(Settings(name)) / REPORT_FILE
    report = json.loads(path.read_text()) if path.is_file() else {}
    exact = report.get("bit_exact", {}).get("golden_rtl")
    if exact is None:
        return Row(f"{name} on {data}", what, None, None, f"not run here: `{command}`")
    cycles = f"latency {report['cycles_per_image']['latency']:,.0f} cycles, `{command}`"
    n_equal = report["images"] if exact else 0
    return Row(
        f"{name} on {data}",
        what,
        n_equal,
        None,
        cycles if exact else f"DIFFERENT: {report['differences'][0]}",
        images=report["images"],
    )
