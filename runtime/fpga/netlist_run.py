# SPDX-License-Identifier: Apache-2.0
"""A network on a chip of netlists: from settings to :mod:`.netlist_check`."""

from collections.abc import Callable
from typing import Any

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.golden.network.forward import run_network
from stemcore.hdl.boards.board import Board

from ..prepare import prepare
from ..prepared import compile_program
from ..report.evaluation import check_count
from ..report.names import compile_folder, run_name
from ..settings import Settings
from .netlist import family_of
from .netlist_check import simulate_netlist


def run_on_netlist(
    board: Board,
    settings: Settings,
    n_images: int,
    *,
    n_nodes: int | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The first ``n_images`` test images on nodes as ``board``'s cells, beside the RTL.

    n_nodes : of the chip, on which the network's cores take turns where it has more; None: as many
        as it has cores

    Returns what :func:`.netlist_check.simulate_netlist` does, and raises what it raises;
    ``ValueError`` for a board whose cells have no models, before anything else.
    """
    family = family_of(board)
    say(f"model        {settings.model} on {settings.data_shown}: capture, calibrate, quantize")
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        n_test=n_images,
        folder=compile_folder(settings),
        say=say,
    )
    check_count(n_images, prepared)
    images = prepared.integers[:n_images]
    say("compile      partition, place, assemble")
    program = compile_program(prepared)
    values = run_network(
        prepared.network,
        images,
        acc_width=prepared.params.acc_width,
        keep=set(program.output_layers),
    )
    nodes = "all" if n_nodes is None else str(n_nodes)
    return simulate_netlist(
        program if n_nodes is None else virtual_chip(program, n_nodes),
        images,
        family,
        expected=prepared.network.joined(values),
        name=f"{run_name(settings)}-{family.name}-{nodes}",
        # Minutes to compile a node, and then seconds a group; Icarus compiles in seconds, and a
        # group of 11,000 cycles on three nodes takes it more than 20 minutes.
        simulator="verilator",
        say=say,
    )


def netlist_line(figures: dict[str, Any]) -> str:
    """One line of a report."""
    images, groups = figures["images"], figures["groups"]
    turns = f" in {groups} groups of cores" if groups > 1 else ""
    return (
        f"netlist      equal to the RTL: {images} image{'s' * (images > 1)}{turns}, every output, "
        f"and each of {figures['flits']:,} flits in its cycle, of {figures['cycles']:,}; "
        f"{figures['seconds']:.0f} s"
    )
