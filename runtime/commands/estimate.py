# SPDX-License-Identifier: Apache-2.0
"""``stemcore estimate``: what a network takes on the chip, before anything is simulated."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .registry import RUN
from .source_options import add_cores_on_chip, add_source_options, source_settings

if TYPE_CHECKING:
    from ..chip_estimate import ChipEstimate
    from ..settings import Settings

NAME = "estimate"
GROUP = RUN
HELP = "cores, memories, cycles and energy of a network, without a simulation"
EXAMPLES = (
    "stemcore estimate --model tiny_vgg",
    "stemcore estimate --model mine.py:build --preset ecp5 --mesh 4x4",
    "stemcore estimate net/",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="FOLDER",
        help="a compiled network: what Compiled.save wrote, or the results of 'stemcore sim'; "
        "takes the place of all options but --cores-on-chip",
    )
    add_cores_on_chip(parser)
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    if arguments.folder is not None:
        _refuse_options(arguments)
        from ..compiled import load

        print(load(arguments.folder).estimate(cores_on_chip=arguments.cores_on_chip))
        return 0
    with Display(out=sys.stderr) as display:  # standard output is the estimate's
        display.say("load         the compiler and its libraries")
        estimate = _estimate(source_settings(arguments), arguments.cores_on_chip, display.say)
    print(estimate)
    return 0


def _estimate(
    settings: "Settings", cores_on_chip: int | None, say: Callable[[str], None]
) -> "ChipEstimate":
    from ..compiled import Compiled
    from ..prepare import compile_for_estimate

    return Compiled(compile_for_estimate(settings, say)).estimate(cores_on_chip=cores_on_chip)


def _refuse_options(arguments: argparse.Namespace) -> None:
    """A folder is compiled already: options beside it would change nothing."""
    parser = argparse.ArgumentParser()
    add_source_options(parser)
    for name, default in vars(parser.parse_args([])).items():
        if getattr(arguments, name) != default:
            raise ValueError(
                f"FOLDER: must come without options, since it is compiled already; --{name} came; "
                "leave one of them out"
            )
