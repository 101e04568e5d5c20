# SPDX-License-Identifier: Apache-2.0
"""`make sim`: one model through every stage, compared at each, reported."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stemcore.compiler.lowering.integrate import describe
from stemcore.compiler.quantization.outputs import describe_outputs
from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.compiler.virtual.chip import VirtualChip, describe_chip, virtual_chip
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.results import describe_tails
from stemcore.golden.program.program import Program
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.models.data import BoxDataset
from stemcore.models.random_weights import NAME as RANDOM

from .cluster.executors import NONE
from .cluster.run import run_units
from .engines.compare import chip_difference, first_difference
from .engines.program import Program as ProgramInNumpy
from .engines.registry import DEFAULT
from .engines.run import run_engine
from .image_ranges import first_differences, merged, range_size, range_units
from .own_model import is_own_model
from .prepare import prepare
from .prepared import Prepared, compile_program, finish, torch_difference
from .progress import Progress
from .report.contents import Outcome, make_report
from .report.detections import write_pictures
from .report.evaluation import check_count, first_output, real_outputs
from .report.figures import write_json
from .report.names import compile_folder, output_folder
from .report.prediction import describe_times, predict
from .report.provenance import command_line, now
from .report.run_folder import RunFolder
from .report.schema import REPORT_FILE
from .report.screen import amount
from .report.stopwatch import Stopwatch
from .report_html import Run, write_page
from .settings import Settings, chip_params
from .sim_options import ACCURACY_IMAGES, SimOptions, Waves

# Images whose times are estimated where no gateware runs: else it would take longer than the run.
ESTIMATED_IMAGES = 16

Say = Callable[[str], None]


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
    cores_on_chip: int | None = None,
    cluster: str = NONE,
    port: str | None = None,
    say: Say = lambda line: None,
    progress: Callable[[int, float | None], Progress] | None = None,
    command: Sequence[str] | None = None,
) -> SimResult:
    """Compile a model, run ``n_images`` test images through ``engine``, compare, report.

    The comparison covers every spike of every layer: torch with golden, golden with the memory
    images (engine `program`), golden with ``engine``; engine `golden` needs no chip, and nothing is
    compiled for one. Accuracy rests on ``accuracy_images``; by default on as many, up to
    ``ACCURACY_IMAGES``, as cost ``ACCURACY_MACS``. Results are written in any case that comes to an
    end, all at once (:class:`stemcore.runtime.report.run_folder.RunFolder`); differences are in
    them, not raised.

    cores_on_chip : of a chip on which the program's cores take turns
    cluster : where images run in ranges (:mod:`stemcore.runtime.cluster.executors`); ``none``: all
        at once, in this process
    say : gets a line, ``name  text``, as each stage begins
    progress : gets the number of images and the cycles that they should take, and returns what an
        engine tells of its progress
    command : what the report says was typed; default: this process's words
    """
    options = SimOptions(
        n_images, engine, accuracy_images, waves, threads, cores_on_chip, cluster, port
    )
    # A board that is not there is told of before anything takes long.
    found = options.look(None if is_own_model(settings.model) else chip_params(settings))
    if found is not None:
        say(f"board        {found}")
    details: dict[str, Any] = {"command": list(command or command_line()), "started": now()}
    watch = Stopwatch()
    with RunFolder(output_folder(settings), options.name, say=say) as place:
        prepared = _prepared(settings, options, say, watch)
        program = _compiled(prepared, options, place.aside, say, watch)
        outcome = _run(prepared, program, options, place.aside, say, progress, watch)
        if isinstance(prepared.dataset, BoxDataset):
            details["detections"] = _pictures(prepared, outcome, place.aside)
        if outcome.shown is not None:
            note = (
                f"in ranges: bars, floor plan, spikes and predictions on the page are those of the "
                f"first {len(outcome.shown.images)} images, all other figures of all of them"
            )
            details["notes"] = [*prepared.compilation.graph.notes, note]
        say("report       accuracies of float and quantized network, figures, page")
        report = make_report(prepared, options, outcome, watch, **details)
        write_json(place.aside / REPORT_FILE, report)
        _write_page(prepared, outcome, report, place)
        place.publish()
    return SimResult(report=report, folder=place.folder, differences=outcome.found)


def _prepared(settings: Settings, options: SimOptions, say: Say, watch: Stopwatch) -> Prepared:
    """Everything before the memory images; what was chosen is said."""
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    n_test = max(options.n_images, options.accuracy_images or ACCURACY_IMAGES)
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        n_test=n_test,
        watch=watch,
        folder=compile_folder(settings),
        say=say,
    )
    check_count(options.n_images, prepared)
    if options.accuracy_images is not None:
        check_count(options.accuracy_images, prepared, "accuracy-images")
    data = shlex.quote(settings.data_shown)
    train = f"'stemcore train --model {settings.model} --dataset {data}'"
    nobody = f"; nobody trained this network on {settings.data_shown}; {train} does"
    say(f"weights      {prepared.weights}{nobody if prepared.weights == RANDOM else ''}")
    for note in prepared.compilation.graph.notes:
        say(f"network      {note}")
    say(f"outputs      {describe_outputs(prepared.quantized.network.kinds)}")
    if tails := describe_tails(prepared.network.outputs):
        say(f"host         {tails}: computed after the chip")
    formats = Counter(layer.bias_format for layer in prepared.quantized.network.layers)
    biases = ", ".join(f"{n} layers {name}" for name, n in formats.items())
    say(f"profile      {prepared.quantized.network.profile}; bias of {biases}")
    if not prepared.params.model.is_exact:
        for line in describe(prepared.network):
            say(f"integration  {line}")
    return prepared


def _compiled(
    prepared: Prepared, options: SimOptions, folder: Path, say: Say, watch: Stopwatch
) -> Program | None:
    """The program as it comes back from its files: what runs is what a user can load."""
    prepared.quantized.save(folder / "quantized.npz")
    if not options.has_chip:
        return None
    say("compile      partition, place, assemble")
    with watch("compile"):
        save_program(compile_program(prepared), folder / "program")
        program = load_program(folder / "program")
    options.check(program)
    return program


def _run(
    prepared: Prepared,
    program: Program | None,
    options: SimOptions,
    folder: Path,
    say: Say,
    progress: Callable[[int, float | None], Progress] | None,
    watch: Stopwatch,
) -> Outcome:
    """The images through every engine up to the one asked for, each compared with golden."""
    images = prepared.integers[: options.n_images]
    if program is not None and options.cluster != NONE:
        return _run_in_ranges(prepared, program, options, say, progress, watch)
    engines = "torch, golden" + (", program" if program else "")
    say(f"run          {amount(len(images), 'image')}: {engines}")
    with watch("golden"):
        golden = run_network(prepared.network, images, acc_width=prepared.params.acc_width)
    with watch("torch"):
        differences = {"torch_golden": torch_difference(prepared.compilation, images, golden)}
    if program is None:
        return _run_network(prepared, options, Outcome(images, golden, differences), say, progress)
    chip = _chip(prepared, program, options, say, watch)
    with watch("program"):
        ran = run_engine(ProgramInNumpy(), program, images, chip=chip)
    differences["golden_program"] = first_difference(
        program, golden, ran.values, ("golden", "program")
    )
    n_timed = len(images) if options.simulates else min(len(images), ESTIMATED_IMAGES)
    with watch("estimate"):
        predicted = predict(program, images, ran.values, n_timed=n_timed, chip=chip)
    say(f"estimate     {describe_times(predicted)}")
    if not options.simulates:
        return Outcome(images, golden, differences, program, ran, None, predicted)
    say(f"simulate     {len(program.cores)} cores, {options.chosen.name}")
    if chip is None:
        expected = predicted["latency"] + (len(images) - 1) * predicted["interval"]
    else:
        expected = len(images) * predicted["interval"]
    tell = progress(len(images), expected) if progress else None
    rtl = options.run(program, images, folder, tell, chip)
    differences["golden_rtl"] = chip_difference(program, golden, rtl, ("golden", "RTL"), ran)
    return Outcome(images, golden, differences, program, ran, rtl, predicted)


def _chip(
    prepared: Prepared, program: Program, options: SimOptions, say: Say, watch: Stopwatch
) -> VirtualChip | None:
    """How cores take turns, where the chip has fewer than the program."""
    if options.cores_on_chip is None:
        return None
    with watch("compile"):
        chip = virtual_chip(program, options.cores_on_chip, prepared.activity)
    say(f"groups       {describe_chip(chip)}")
    return chip


def _run_in_ranges(
    prepared: Prepared,
    program: Program,
    options: SimOptions,
    say: Say,
    progress: Callable[[int, float | None], Progress] | None,
    watch: Stopwatch,
) -> Outcome:
    """The same, range by range on the workers of a cluster; the page shows the first range."""
    images, size = prepared.integers[: options.n_images], range_size(prepared.network)
    units = range_units(finish(prepared), images, options.engine, options.threads)
    said = f"{amount(len(images), 'image')} in {amount(len(units), 'range')}"
    say(f"run          {said}: torch, golden, program, {options.chosen.name}")

    def in_images(n_units: int) -> Progress:
        n_images = min(n_units * size, len(images))
        tell = progress(n_images, None) if progress else (lambda done, cycles: None)
        return lambda done, cycles: tell(min(done * size, n_images), cycles)

    found = run_units(units, cluster=options.cluster, say=say, progress=in_images)
    for one in found:
        for stage, seconds in one["seconds"].items():
            watch.add(stage, seconds)
    shown = images[:size]
    with watch("golden"):
        golden = run_network(prepared.network, shown, acc_width=prepared.params.acc_width)
    with watch("estimate"):
        n_timed = min(len(shown), ESTIMATED_IMAGES)
        predicted = predict(program, shown, golden, n_timed=n_timed)
    differences = first_differences(units, found)
    ran = [one["program"] for one in found]
    rtl = [one["chip"] for one in found] if options.simulates else []
    page = Outcome(
        shown,
        golden,
        differences,
        program,
        merged(ran[:1], golden),
        merged(rtl[:1], golden) if rtl else None,
        predicted,
    )
    received = first_output(prepared.network, merged(rtl or ran).outputs)
    return Outcome(
        images,
        {prepared.network.output.name: received},
        differences,
        program,
        merged(ran),
        merged(rtl) if rtl else None,
        predicted,
        shown=page,
    )


def _run_network(
    prepared: Prepared,
    options: SimOptions,
    outcome: Outcome,
    say: Say,
    progress: Callable[[int, float | None], Progress] | None,
) -> Outcome:
    """What an engine that needs no chip made of the images, compared with golden.

    Golden itself has run.
    """
    if not options.simulates:
        return outcome
    name, images = options.chosen.name, outcome.images
    say(f"simulate     {len(prepared.network.layers)} layers, {name}")
    tell = progress(len(images), None) if progress else None
    ran = options.run_network(prepared.network, prepared.params, images, tell)
    found = first_difference(prepared.network, outcome.golden, ran.values, ("golden", name))
    return replace(outcome, rtl=ran, differences={**outcome.differences, "golden_rtl": found})


def _pictures(prepared: Prepared, outcome: Outcome, folder: Path) -> list[dict[str, Any]]:
    """Detections drawn on the images; what they are."""
    assert isinstance(prepared.dataset, BoxDataset)
    # Of ranges that is all that golden left.
    output = outcome.golden[prepared.network.output.name]
    outputs = first_output(prepared.network, outcome.rtl.outputs) if outcome.rtl else output
    real = real_outputs(prepared.network, outputs)
    return write_pictures(prepared.dataset, real, folder / "detections")


def _write_page(
    prepared: Prepared, outcome: Outcome, report: Mapping[str, Any], place: RunFolder
) -> None:
    shown = outcome.shown or outcome
    run = Run(
        report,
        prepared.dataset,
        prepared.network,
        shown.images,
        shown.golden,
        shown.program,
        shown.ran,
        shown.rtl,
    )
    write_page(place.aside, run, search=place.folder / "sparsify")
