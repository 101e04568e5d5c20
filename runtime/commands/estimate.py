# SPDX-License-Identifier: Apache-2.0
"""``stemcore estimate``: what a network takes on the chip, before anything is simulated."""

import argparse
import sys
from pathlib import Path

from .registry import RUN
from .source_options import add_cores_on_chip, add_source_options, source_settings

NAME = "estimate"
GROUP = RUN
HELP = "cores, memories, cycles and energy of a network, without a simulation"
EXAMPLES = (
    "stemcore estimate --model tiny_vgg",
    "stemcore estimate --model mine.py:build --preset ecp5 --mesh 4x4",
    "stemcore estimate --model lenet5 --presets ecp5,ecp5_32",
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
    parser.add_argument(
        "--presets",
        metavar="NAME,NAME..",
        help="also these, each with as many lanes in all as the network takes on its own preset: "
        "which is fastest (default: none)",
    )
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    if arguments.folder is not None:
        _refuse_options(arguments)
        from ..compiled import load

        if arguments.presets is not None:
            raise ValueError(
                "FOLDER: must come without --presets, since it is compiled for one; name the "
                "network with --model"
            )
        print(load(arguments.folder).estimate(cores_on_chip=arguments.cores_on_chip))
        return 0
    names = _presets(arguments)
    with Display(out=sys.stderr) as display:  # standard output is the estimate's
        display.say("load         the compiler and its libraries")
        from ..compiled import Compiled
        from ..prepare import compile_for_estimate
        from ..preset_choice import compare_presets

        settings = source_settings(arguments)
        done = compile_for_estimate(settings, display.say)
        shown = [str(Compiled(done).estimate(cores_on_chip=arguments.cores_on_chip))]
        if names:
            shown.append(str(compare_presets(done, settings, names, display.say)))
    print("\n\n".join(shown))
    return 0


def _presets(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What --presets names, before anything takes long."""
    if arguments.presets is None:
        return ()
    if arguments.cores_on_chip is not None:
        raise ValueError(
            "presets: must come without cores_on_chip, since every core is there in the "
            "comparison; leave one of them out"
        )
    from ..preset_choice import preset_names

    return preset_names(arguments.presets)


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
