# SPDX-License-Identifier: Apache-2.0
"""``stemcore bench``: the figures that the documentation states."""

import argparse

from .registry import DEVELOP

NAME = "bench"
GROUP = DEVELOP
HELP = "measure speed and size of engines, compiler and gateware; print and store the figures"
EXAMPLES = ("stemcore bench", "stemcore bench --only golden --only program")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from stemcore.benchmarks.bench import BENCHMARKS, LONG

    parser.add_argument(
        "--only",
        action="append",
        choices=sorted(BENCHMARKS | LONG),
        help=f"this alone, may be repeated (default: all but {', '.join(sorted(LONG))})",
    )


def run(arguments: argparse.Namespace) -> int:
    from stemcore.benchmarks.bench import run_benchmarks

    run_benchmarks(arguments.only)
    return 0
