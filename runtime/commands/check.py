# SPDX-License-Identifier: Apache-2.0
"""``stemcore check``: torch against golden, on every integer of the test set."""

import argparse
import json
import sys
from functools import partial

from .registry import RUN
from .source_options import add_source_options, refuse_placement, source_settings

NAME = "check"
GROUP = RUN
HELP = "compare torch with golden on every integer of every test image; print accuracies"
EXAMPLES = (
    "stemcore check --model tiny_vgg",
    "stemcore check --model tiny_vgg --bits 4 --profile general --images 100",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, help="test images to compare (default: all)")
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    with Display(out=sys.stderr) as display:  # standard output is the figures'
        display.say("load         the compiler and its libraries")
        from ..check import check_all

        settings = source_settings(arguments)
        refuse_placement(settings, "check")
        figures = check_all(
            settings,
            n_images=arguments.images,
            say=display.say,
            progress=partial(display.count, stage="compare"),
        )
    print(json.dumps(figures, indent=2))
    return 0
