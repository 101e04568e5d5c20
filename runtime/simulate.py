# SPDX-License-Identifier: Apache-2.0
"""`make sim`: one model through every stage, compared at each, reported."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.assembly.assemble import layer_info
from stemcore.compiler.lowering.integrate import describe
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.models.data import BoxDataset, Dataset
from stemcore.models.random_weights import NAME as RANDOM

from .check import batches, check_count, golden_accuracy, real_outputs
from .engines.compare import Difference, compare_values, populations_of, sent_values
from .engines.engine import NetworkEngine, RunOptions
from .engines.program import Program as ProgramInNumpy
from .engines.registry import DEFAULT, check_options, get_engine
from .engines.result import RunResult
from .engines.run import run_engine
from .errors import EngineError
from .prepare import (
    CALIBRATION_IMAGES,
    Prepared,
    Settings,
    affordable,
    compile_program,
    float_accuracy,
    prepare,
    torch_values,
)
from .progress import Progress
from .report import figures as reports
from .report.accuracy import measure, metric_of
from .report.detections import write_pictures
from .report.integration_effects import compare_integrations
from .report.names import output_folder
from .report.prediction import describe_times, predict
from .report_html import Run, write_page

# Images that the accuracy rests on: so many, or fewer of a large network.
ACCURACY_IMAGES, ACCURACY_MACS = 1000, 100e9
# Images whose times are estimated where no gateware runs: else it would take longer than the run.
ESTIMATED_IMAGES = 16

Say = Callable[[str], None]
Waves = None | Literal["all"] | tuple[tuple[int, int], ...]  # nodes (x, y) whose waves are written


@dataclass(frozen=True)
class SimResult:
    """What `make sim` found.

    report : contents of report.json
    folder : where it lies, with the program
    differences : the first difference of each pair of engines that disagree
    """

    report: dict[str, Any]
    folder: Path
    differences: tuple[str, ...]


def simulate(
    settings: Settings,
    *,
    n_images: int = 4,
    engine: str = DEFAULT,
    accuracy_images: int | None = None,
    waves: Waves = None,
    threads: int | None = None,
    say: Say = lambda line: None,
    progress: Progress | None = None,
) -> SimResult:
    """Compile a model, run ``n_images`` test images through ``engine``, compare, report.

    The comparison covers every spike of every layer: torch with golden, golden with the memory
    images (engine `program`), golden with ``engine``; engine `golden` needs no chip, and nothing is
    compiled for one. Accuracy rests on ``accuracy_images``; by default on as many, up to
    ``ACCURACY_IMAGES``, as cost ``ACCURACY_MACS``. report.json is written in any case that comes
    to an end; differences are in the result, not raised.
    """
    chosen = get_engine(engine)
    folder = output_folder(settings)
    options = RunOptions(waves_dir=folder if waves else None, threads=threads)
    check_options(chosen, options)
    if accuracy_images is not None and accuracy_images < 1:
        raise ValueError(
            f"accuracy-images: must be 1 or more, got {accuracy_images}; leave it out for "
            f"up to {ACCURACY_IMAGES} as the network's size allows"
        )
    say(f"model        {settings.model} on {settings.dataset}: capture, calibrate, quantize")
    n_test = max(n_images, accuracy_images or ACCURACY_IMAGES)
    prepared = prepare(settings, n_train=CALIBRATION_IMAGES, n_test=n_test)
    check_count(n_images, prepared)
    say(
        f"weights      {prepared.weights}"
        + (
            f"; nobody trained this network on {settings.dataset}; 'stemcore train --model "
            f"{settings.model} --dataset {settings.dataset}' does"
            if prepared.weights == RANDOM
            else ""
        )
    )
    n_outputs = int(np.prod(prepared.exact.output.out_shape))
    if isinstance(prepared.dataset, Dataset) and n_outputs != prepared.dataset.n_classes:
        say(
            f"outputs      {n_outputs} for {prepared.dataset.n_classes} classes of "
            f"{settings.dataset}: accuracies say nothing about this network"
        )
    forms = Counter(layer.bias_format for layer in prepared.quantized.network.layers)
    say(
        "profile      "
        + settings.profile
        + "; bias of "
        + ", ".join(f"{n} layers {form}" for form, n in forms.items())
    )
    if prepared.params.is_stepped:
        for line in describe(prepared.network):
            say(f"integration  {line}")
    prepared.quantized.save(folder / "quantized.npz")
    program = None
    if not isinstance(chosen, NetworkEngine):
        say("compile      partition, place, assemble")
        program = _saved(compile_program(prepared), folder)
    images = prepared.integers[:n_images]

    say(f"run          {n_images} images: torch, golden" + (", program" if program else ""))
    golden = run_network(prepared.network, images, acc_width=prepared.params.acc_width)
    differences: dict[str, str | None] = {}
    in_torch = torch_values(prepared.quantized, images)
    exact = golden
    if prepared.params.is_stepped:
        exact = run_network(prepared.exact, images, acc_width=prepared.exact_width)
    differences["torch_golden"] = _difference(prepared.exact, in_torch, exact, ("torch", "golden"))
    ran, result, predicted = None, None, None
    if program is not None:
        ran = run_engine(ProgramInNumpy(), program, images)
        differences["golden_program"] = _difference(
            program, golden, ran.values, ("golden", "program")
        )
        simulates = not isinstance(chosen, ProgramInNumpy)
        n_timed = n_images if simulates else min(n_images, ESTIMATED_IMAGES)
        predicted = predict(program, images, ran.values, n_timed=n_timed)
        say(f"estimate     {describe_times(predicted)}")
        if simulates:
            say(f"simulate     {len(program.cores)} cores, {chosen.name}")
            result = run_engine(
                chosen,
                program,
                images,
                progress=progress,
                waves_dir=options.waves_dir,
                waves_nodes=None if waves == "all" else waves,
                threads=options.threads,
            )
            differences["golden_rtl"] = _difference(
                program,
                sent_values(program, golden),
                _with_outputs(program, result),
                ("golden", "RTL"),
            )
            _check_counters(program, ran, result)
    report = _report(prepared, program, result, differences, n_images, accuracy_images)
    if predicted is not None:
        report["estimate"] = predicted
        if "cycles_per_image" in report:
            report["cycles_per_image"]["estimated_interval"] = predicted["interval"]
            report["cycles_per_image"]["estimated_latency"] = predicted["latency"]
    outputs = result.outputs if result else golden[prepared.network.output.name]
    if isinstance(prepared.dataset, BoxDataset):
        report["detections"] = write_pictures(
            prepared.dataset, real_outputs(prepared.network, outputs), folder / "detections"
        )
    reports.write_json(folder / "report.json", report)
    write_page(
        folder,
        Run(report, prepared.dataset, prepared.network, images, golden, program, ran, result),
    )
    found = tuple(text for text in differences.values() if text)
    return SimResult(report=report, folder=folder, differences=found)


def _saved(program: Program, folder: Path) -> Program:
    """The program as it comes back from its files: what runs is what a user can load."""
    save_program(program, folder / "program")
    return load_program(folder / "program")


def _difference(
    program: Program | Network,
    expected: Mapping[str, NDArray],
    got: Mapping[str, NDArray],
    names: tuple[str, str],
) -> str | None:
    try:
        compare_values(populations_of(program), expected, got, names=names)
    except Difference as difference:
        return str(difference)
    return None


def _with_outputs(program: Program, result: RunResult) -> dict[str, NDArray]:
    """Values fired by the cores; those of the output layer as the host received them."""
    if not np.array_equal(result.values[program.output], result.outputs):
        raise EngineError(
            f"{program.output}: the host must receive what the cores fire; it received something "
            "else: the network on chip lost or changed spikes"
        )
    return {**result.values, program.output: result.outputs}


def _check_counters(program: Program, model: RunResult, rtl: RunResult) -> None:
    """The gateware's counters must be those of the program engine, core by core."""
    if model.counters is None or rtl.counters is None:
        return
    for core in program.cores:
        want, have = model.counters[core.x, core.y], rtl.counters[core.x, core.y]
        for name, value in want.items():
            if have[name] != value:
                raise EngineError(
                    f"node ({core.x}, {core.y}) {core.layer}: counter {name} must be {value} as in "
                    f"engine 'program', got {have[name]}"
                )


def _report(
    prepared: Prepared,
    program: Program | None,
    rtl: RunResult | None,
    differences: Mapping[str, str | None],
    n_images: int,
    accuracy_images: int | None,
) -> dict[str, Any]:
    n_accuracy = accuracy_images or affordable(
        ACCURACY_IMAGES, ACCURACY_MACS, prepared.n_macs, n_images
    )
    n_accuracy = min(n_accuracy, len(prepared.integers))
    compared = ("torch_golden", "golden_program", "golden_rtl")
    report: dict[str, Any] = {
        "model": prepared.settings.model,
        "dataset": prepared.settings.dataset,
        "data": prepared.dataset.provenance,
        "weights": prepared.weights,
        "images": n_images,
        "tables": prepared.settings.tables,
        "profile": prepared.settings.profile,
        "bias": {layer.name: layer.bias_format for layer in prepared.quantized.network.layers},
        "bit_exact": {
            name: differences[name] is None if name in differences else None for name in compared
        },
        "differences": [text for text in differences.values() if text],
        "integration": _integration(prepared, n_images, accuracy_images),
        "metric": metric_of(prepared.dataset),
        "accuracy": {
            "float": float_accuracy(prepared, n_accuracy),
            "quantized": golden_accuracy(prepared, n_accuracy),
            "rtl": None,
            "images": n_accuracy,
        },
        **_sizes(prepared.network, program),
    }
    if program is not None and rtl is not None:
        outputs = real_outputs(prepared.network, rtl.outputs)
        report["accuracy"]["rtl"] = measure(prepared.dataset, outputs)
        if rtl.counters is not None:
            report |= reports.rtl_figures(program, rtl, n_images)
    return report


def _integration(prepared: Prepared, n_images: int, accuracy_images: int | None) -> dict[str, Any]:
    """The form, and what it changes; on fewer images, since every time step is computed."""
    if not prepared.params.is_stepped:
        return {"form": "exact"}
    n_macs = 2 * prepared.settings.bits * prepared.n_macs
    n = accuracy_images or affordable(ACCURACY_IMAGES, ACCURACY_MACS, n_macs, n_images)
    return compare_integrations(prepared, batches(prepared, min(n, len(prepared.integers))))


def _sizes(network: Network, program: Program | None) -> dict[str, Any]:
    if program is not None:
        return reports.size_figures(program)
    return reports.network_figures(layer_info(network, layer) for layer in network.layers)
