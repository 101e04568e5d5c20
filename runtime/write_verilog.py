# SPDX-License-Identifier: Apache-2.0
"""A model's chip as self-contained Verilog: from settings to :mod:`.host.verilog_bench`."""

from collections.abc import Callable
from pathlib import Path

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.folders import results
from stemcore.golden.network.forward import run_network

from .host.host_sides import NO_SIDES, HostSides
from .host.verilog_bench import write_bench
from .prepare import prepare
from .prepared import compile_program
from .report.evaluation import check_count
from .report.names import compile_folder, run_name
from .report.screen import amount
from .settings import Settings


def write_verilog(
    settings: Settings,
    n_images: int = 1,
    *,
    sides: HostSides = NO_SIDES,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Verilog, flits and bench of a model; returns its folder below
    ``sim_build/verilog``, named as in :mod:`stemcore.runtime.report.names`.

    The bench runs the first ``n_images`` test images and expects what golden computes. ``sides``:
    also the chip behind these. ``say`` gets a line, ``name text``, as each stage begins.
    """
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        # A number that is refused below is told how many there are.
        n_test=n_images if n_images > 0 else None,
        folder=compile_folder(settings),
        say=say,
    )
    check_count(n_images, prepared)
    images = prepared.integers[:n_images]
    say("compile      partition, place, assemble")
    program = compile_program(prepared)
    say(f"write        {amount(len(program.cores), 'core')}: Verilog, memory files, flits, bench")
    values = run_network(
        prepared.network,
        images,
        acc_width=prepared.params.acc_width,
        keep=set(program.output_layers),
    )
    folder = results() / "verilog" / run_name(settings)
    expected = prepared.network.joined(values)
    return write_bench(program, images, folder, expected=expected, sides=sides)
