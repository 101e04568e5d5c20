# SPDX-License-Identifier: Apache-2.0
"""``stemcore synth``: one node in an FPGA."""

import argparse
import math

from .registry import DEVELOP
from .source_options import at_least_one

NAME = "synth"
GROUP = DEVELOP
HELP = "synthesise one node for a board, place and route it: cells, memories, Fmax"
EXAMPLES = ("stemcore synth", "stemcore synth --preset ecp5 --seeds 3", "stemcore synth --path")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from stemcore.golden.spec.presets import PRESETS
    from stemcore.hdl.boards.board import DEFAULT, boards

    described = "; ".join(f"{board.name} ({board.device})" for board in boards().values())
    parser.add_argument(
        "--board",
        default=DEFAULT,
        choices=list(boards()),
        help=f"what it is built for: {described} (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        action="append",
        choices=sorted(PRESETS),
        help="sizes of the node, may be repeated (default: those that fit the board)",
    )
    placements = parser.add_mutually_exclusive_group()
    placements.add_argument(
        "--seeds",
        type=at_least_one,
        default=1,
        metavar="N",
        help="placements per preset, with seeds 1..N (default: %(default)s)",
    )
    placements.add_argument(
        "--seed", type=at_least_one, metavar="N", help="the placement of this seed alone"
    )
    parser.add_argument(
        "--freq",
        type=megahertz,
        metavar="MHZ",
        default=120.0,
        help="target in MHz (default: %(default)s)",
    )
    parser.add_argument("--path", action="store_true", help="print critical paths")


def megahertz(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, in MHz, got {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    from stemcore.benchmarks.synth import run_presets

    seeds = range(1, arguments.seeds + 1) if arguments.seed is None else [arguments.seed]
    run_presets(
        arguments.preset or (),
        seeds,
        arguments.freq,
        board=arguments.board,
        show_paths=arguments.path,
    )
    return 0
