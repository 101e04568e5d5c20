# SPDX-License-Identifier: Apache-2.0
"""Puts report.json together: what a run was, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.assembly.layer_info import layer_info
from stemcore.compiler.quantization.bias import DEFAULT_FORMAT
from stemcore.compiler.quantization.calibration import parse_method
from stemcore.compiler.quantization.layer_bits import LayerBits, most_bits
from stemcore.compiler.quantization.outputs import describe_outputs
from stemcore.compiler.sparsity.tables import read_tables
from stemcore.compiler.stages import affordable
from stemcore.golden.network.network import INPUT
from stemcore.golden.network.results import describe_tails
from stemcore.golden.program.program import Program
from stemcore.models.data.files import shown

from ..engines.result import RunResult
from ..prepared import Prepared, float_accuracy
from ..sim_options import ACCURACY_IMAGES, ACCURACY_MACS, SimOptions
from . import figures, provenance
from .accuracy import measure, metric_of
from .evaluation import batches, first_output, golden_accuracy, real_outputs
from .fidelity import measure_fidelity
from .integration_effects import compare_integrations
from .schema import SCHEMA_VERSION, checked
from .stopwatch import Stopwatch

COMPARED = ("torch_golden", "golden_program", "golden_rtl")
STAGES = (
    "load",
    "capture",
    "quantize",
    "lower",
    "compile",
    "torch",
    "golden",
    "program",
    "estimate",
    "build",
    "simulate",
    "accuracy",
)


@dataclass(frozen=True)
class Outcome:
    """What the engines made of the images.

    Attributes
    ----------
    images : int64 (N, C, H, W), integers that the host fires
    golden : integers that every population fires in golden, by name (N, C, H, W)
    differences : by what was compared (``COMPARED``), the first difference, or None
    program, ran : the memory images and what engine `program` made of them; None without a chip
    rtl : what the engine that was asked for returned, where that is neither golden nor `program`
    predicted : its cycles, estimated beforehand
    shown : what the page shows of it, where images ran in ranges: values are kept of one range
        alone, and ``golden`` has the outputs of all
    """

    images: NDArray[np.int64]
    golden: Mapping[str, NDArray[np.int64]]
    differences: Mapping[str, str | None]
    program: Program | None = None
    ran: RunResult | None = None
    rtl: RunResult | None = None
    predicted: Mapping[str, Any] | None = None
    shown: "Outcome | None" = None

    @property
    def found(self) -> tuple[str, ...]:
        """The first difference of each pair of engines that disagree."""
        return tuple(text for text in self.differences.values() if text)


def make_report(
    prepared: Prepared,
    options: SimOptions,
    outcome: Outcome,
    watch: Stopwatch,
    **details: Any,
) -> dict[str, Any]:
    """Contents of report.json, as :mod:`stemcore.runtime.report.schema` defines them.

    ``watch`` has the stages so far; ``details`` are fields that are known elsewhere, ``command``
    and ``started`` among them.
    """
    with watch("accuracy"):
        accuracy = _accuracy(prepared, options, outcome)
        integration = _integration(prepared, options)
        fidelity = measure_fidelity(prepared)
    settings = prepared.settings
    return checked(
        {
            "schema_version": SCHEMA_VERSION,
            "model": settings.model,
            "dataset": settings.data_shown,
            "data": prepared.dataset.provenance,
            "weights": prepared.weights,
            "images": options.n_images,
            "tables": settings.tables,
            "profile": prepared.quantized.network.profile,
            "bias": {layer.name: layer.bias_format for layer in prepared.quantized.network.layers},
            "settings": _settings(prepared, options, outcome, accuracy["images"]),
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "hashes": _hashes(prepared, options, outcome),
            "machine": provenance.machine(),
            "bit_exact": {
                name: outcome.differences[name] is None if name in outcome.differences else None
                for name in COMPARED
            },
            "differences": list(outcome.found),
            "integration": integration,
            **_host(prepared),
            "metric": metric_of(prepared.dataset),
            "accuracy": accuracy,
            "fidelity": fidelity,
            **_figures(prepared, outcome),
            **details,
            "times": _times(watch, outcome),
        }
    )


def _accuracy(prepared: Prepared, options: SimOptions, outcome: Outcome) -> dict[str, Any]:
    n = options.accuracy_images or affordable(
        ACCURACY_IMAGES, ACCURACY_MACS, prepared.n_macs, options.n_images
    )
    n = min(n, len(prepared.integers))
    rtl = None
    if outcome.rtl is not None:
        outputs = first_output(prepared.network, outcome.rtl.outputs)
        rtl = measure(prepared.dataset, real_outputs(prepared.network, outputs))
    return {
        "float": float_accuracy(prepared, n),
        "quantized": golden_accuracy(prepared, n),
        "rtl": rtl,
        "images": n,
    }


def _integration(prepared: Prepared, options: SimOptions) -> dict[str, Any]:
    """The mode, and what it changes; on fewer images, since every time step is computed."""
    if prepared.params.model.is_exact:
        return {"mode": prepared.params.integration}
    n_macs = 2 * most_bits(prepared.settings.bits) * prepared.n_macs
    n = options.accuracy_images or affordable(
        ACCURACY_IMAGES, ACCURACY_MACS, n_macs, options.n_images
    )
    return compare_integrations(prepared, batches(prepared, min(n, len(prepared.integers))))


def _settings(
    prepared: Prepared, options: SimOptions, outcome: Outcome, accuracy_images: int
) -> dict[str, Any]:
    settings, rtl = prepared.settings, outcome.rtl
    tables = read_tables(settings.tables)
    turns = {} if options.cores_on_chip is None else {"cores_on_chip": options.cores_on_chip}
    return {
        **turns,
        "model": settings.model,
        "dataset": settings.data_shown,
        "data": _text(settings.data),
        "checkpoint": _text(settings.checkpoint),
        "preset": prepared.preset,
        "chip": prepared.params.to_dict(),
        "integration": settings.integration or prepared.params.integration,
        "profile": settings.profile,
        "bias": settings.bias or DEFAULT_FORMAT[settings.profile],
        "bits": _bits(settings.bits),
        "weight_bits": _bits(settings.weight_bits),
        "calibration": str(parse_method(settings.calibration, settings.profile)),
        "input": prepared.input_map.describe(),
        "outputs": prepared.quantized.network.outputs,
        "tables": settings.tables,
        "tables_by_layer": None if isinstance(tables, str) else tables,
        "cores": settings.cores,
        "mesh": settings.mesh,
        "skip_buffers": "none"
        if prepared.compilation.options.with_skip_buffers is False
        else "all",
        "images": options.n_images,
        "accuracy_images": accuracy_images,
        "calibration_images": prepared.n_calibration,
        "engine": options.chosen.name,
        "threads": rtl.notes.get("threads") if rtl is not None else None,
        "waves": options.waves,
        "seeds": provenance.seeds(settings.dataset, prepared.weights),
    }


def _bits(choice: LayerBits) -> int | dict[str, int]:
    return dict(choice) if isinstance(choice, Mapping) else choice


def _host(prepared: Prepared) -> dict[str, Any]:
    """What the outputs were taken for, what the host makes of them, what reading changed."""
    found: dict[str, Any] = {"outputs": describe_outputs(prepared.quantized.network.kinds)}
    if tails := describe_tails(prepared.network.outputs):
        found["tail"] = tails
    notes = prepared.compilation.graph.notes
    return found | ({"notes": list(notes)} if notes else {})


def _text(path: object) -> str | None:
    return None if path is None else shown(path)


def _hashes(prepared: Prepared, options: SimOptions, outcome: Outcome) -> dict[str, str | None]:
    program = outcome.program
    calibration = prepared.dataset.train_images[: prepared.n_calibration]
    return {
        "weights": provenance.hash_weights(prepared.module),
        "data": provenance.hash_test_data(prepared.dataset, options.n_images),
        "calibration": provenance.hash_arrays([("images", calibration)]),
        "quantized": provenance.hash_quantized(prepared.quantized.network),
        "program": None if program is None else provenance.hash_program(program),
    }


def _figures(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """Sizes and operations, and whatever else the last engine knows."""
    program, ran, rtl = outcome.program, outcome.ran, outcome.rtl
    n = len(outcome.images)
    if program is None:
        layers = [layer_info(prepared.network, layer) for layer in prepared.network.layers]
        values = {INPUT: outcome.images, **outcome.golden}
        found = figures.golden_figures(prepared.network, layers, values)
        return figures.network_figures(layers) | found
    assert ran is not None
    assert ran.counters is not None
    found = figures.size_figures(program)
    if rtl is not None and rtl.timing is not None and rtl.counters is not None:
        found |= figures.rtl_figures(program, rtl, n)
    else:
        # Counters of engine `program` are those that the gateware would have.
        found |= figures.chip_figures(program, ran.counters, n)
        if rtl is not None and rtl.timing is not None:
            found |= figures.clock_figures(rtl)
        else:
            found |= figures.no_clock(rtl)
    if (turns := (rtl or ran).virtual) is not None:
        found["virtual_cores"] = figures.virtual_figures(turns, n)
    predicted = outcome.predicted or {"interval": None, "latency": None}
    for name in ("interval", "latency"):
        found["cycles_per_image"][f"estimated_{name}"] = predicted[name]
    return found | ({"estimate": predicted} if outcome.predicted else {})


def _times(watch: Stopwatch, outcome: Outcome) -> dict[str, float | None]:
    seconds = {name: watch.seconds.get(name) for name in STAGES}
    if outcome.rtl is not None:
        # The engine knows them apart.
        seconds |= {"build": outcome.rtl.build_s, "simulate": outcome.rtl.wall_s}
    seconds["total"] = watch.total
    return {name: None if s is None else round(s, 3) for name, s in seconds.items()}
