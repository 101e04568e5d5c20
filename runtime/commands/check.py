# SPDX-License-Identifier: Apache-2.0
"""``stemcore check``: torch against golden, on every integer of the test set."""

import argparse
import json
import sys

from .registry import RUN
from .source_options import add_source_options, source_settings

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
    from ..check import check_all

    figures = check_all(
        source_settings(arguments),
        n_images=arguments.images,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(json.dumps(figures, indent=2))
    return 0
