# SPDX-License-Identifier: Apache-2.0
"""``stemcore synth``: one node in an FPGA."""

import argparse
import math

from .registry import DEVELOP
from .source_options import at_least_one

MODEL = "digits_cnn"  # of --simulate
NAME = "synth"
GROUP = DEVELOP
HELP = "synthesise one node for a board, place and route it: cells, memories, Fmax"
EXAMPLES = (
    "stemcore synth",
    "stemcore synth --preset ecp5 --seeds 3",
    "stemcore synth --simulate 1",
)


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
    parser.add_argument(
        "--simulate",
        type=at_least_one,
        metavar="N",
        help="in the place of placing: run N test images of --model on a chip of such nodes as "
        "netlists, and compare every output with golden, every flit and its cycle with the RTL",
    )
    parser.add_argument(
        "--model", help=f"the network of --simulate (default: {MODEL}, the smallest)"
    )


def megahertz(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, in MHz, got {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    if arguments.simulate is not None:
        return _simulate(arguments)
    if arguments.model is not None:
        raise ValueError("model: must come with --simulate N, its number of images, none came")
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


def _simulate(arguments: argparse.Namespace) -> int:
    from .progress import Display

    with Display() as display:
        display.say("load         the compiler and its libraries")
        from stemcore.hdl.boards.board import get_board

        from ..fpga.netlist_run import netlist_line, run_on_netlist
        from ..settings import Settings

        board = get_board(arguments.board)
        lines = []
        for preset in arguments.preset or board.presets[:1]:
            settings = Settings(model=arguments.model or MODEL, preset=preset)
            found = run_on_netlist(board, settings, arguments.simulate, say=display.say)
            lines.append(f"node         {preset}, cells of {found['cells']}")
            lines.append(netlist_line(found))
    print("\n".join(lines))
    return 0
