# SPDX-License-Identifier: Apache-2.0
"""``stemcore estimate``: what a network takes on the chip, before anything is simulated."""

import argparse
import sys
from pathlib import Path

from .registry import RUN
from .source_options import add_source_options, source_settings

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
        "takes the place of all options",
    )
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..compiled import Compiled, load

    if arguments.folder is not None:
        _refuse_options(arguments)
        print(load(arguments.folder).estimate())
        return 0
    from stemcore.compiler.stages import CALIBRATION_IMAGES

    from ..prepare import finish, prepare
    from ..report.names import compile_folder

    settings = source_settings(arguments)
    prepared = prepare(
        settings,
        n_train=CALIBRATION_IMAGES,
        n_test=1,
        folder=compile_folder(settings),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(Compiled(finish(prepared)).estimate())
    return 0


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
